module egress.router/lab/egressrouter

go 1.24.2

require (
	github.com/containernetworking/cni v1.3.0
	github.com/containernetworking/plugins v1.9.1
	github.com/vishvananda/netlink v1.3.1
	golang.org/x/sys v0.36.0
)

require github.com/vishvananda/netns v0.0.5 // indirect
