module egress.router/lab/openshiftapi

go 1.24.2

require github.com/openshift/api v0.0.0-20260213204242-d34f11c515b3
