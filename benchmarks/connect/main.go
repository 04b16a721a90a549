// Copyright (c) 2026, egress.router maintainers
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command connect is the clients and the server of the benchmarks: many connections, with a line of JSON about them at the end.
//
//	connect serve ADDRESS:PORT
//	connect run -workers 2 -seconds 2 ADDRESS:PORT     connections as fast as they go, one after another for each worker
//	connect open -rate 1000 -seconds 2 ADDRESS:PORT    so many a second, however long each takes
//	connect flood -seconds 2 ADDRESS:PORT              UDP with 64 bytes as fast as they go
//	connect watch ADDRESS:PORT                         who answers, a line for each change: nanoseconds since 1970, answer
//	connect ask -clients 60 URL                        one request after another for each client
//
// SIGTERM ends them earlier, and those that have no end.
//
// A connection is what a firewall's rules are looked up for, so it carries a few bytes and is reset at its end: no port
// waits in TIME_WAIT and what is measured is the way there.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const usage = "usage: connect serve|run|open|flood|watch|ask [OPTIONS] ADDRESS:PORT|URL"

func main() {
	if len(os.Args) < 3 {
		fail(fmt.Errorf(usage))
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	workers := flags.Int("workers", 2, "connections at a time")
	rate := flags.Int("rate", 1000, "connections a second")
	clients := flags.Int("clients", 60, "requests at a time")
	seconds := flags.Float64("seconds", math.Inf(1), "how long")
	if err := flags.Parse(os.Args[2:]); err != nil {
		fail(err)
	}
	target := flags.Arg(0)
	end, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	if !math.IsInf(*seconds, 1) {
		end, cancel = context.WithTimeout(end, time.Duration(*seconds*float64(time.Second)))
		defer cancel()
	}
	var found any
	var err error
	switch os.Args[1] {
	case "serve":
		err = serve(end, target)
	case "run":
		found = run(end, target, *workers)
	case "open":
		found = open(end, target, *rate)
	case "flood":
		found, err = flood(end, target)
	case "watch":
		watch(end, target)
	case "ask":
		found = ask(end, target, *clients)
	default:
		err = fmt.Errorf(usage)
	}
	if err != nil {
		fail(err)
	}
	if found != nil {
		err = json.NewEncoder(os.Stdout).Encode(found)
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
