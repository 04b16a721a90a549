module egress.router/benchmarks/connect

go 1.25
