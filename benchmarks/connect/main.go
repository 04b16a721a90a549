// Copyright (c) 2026, egress.router maintainers
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command connect opens TCP connections as fast as it can and says how long each took.
//
//	connect serve ADDRESS:PORT
//	connect run -workers 2 -seconds 2 ADDRESS:PORT
//
// A connection is what a firewall's rules are looked up for, so it carries one byte and is reset at its end: no port
// waits in TIME_WAIT and what is measured is the way there.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

type result struct {
	Connections int     `json:"connections"`
	Failed      int     `json:"failed"`
	PerSecond   float64 `json:"per_second"`
	P50         float64 `json:"p50_us"`
	P99         float64 `json:"p99_us"`
}

func main() {
	if len(os.Args) < 3 {
		fail(fmt.Errorf("usage: connect serve|run [-workers N] [-seconds S] ADDRESS:PORT"))
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	workers := flags.Int("workers", 2, "connections at a time")
	seconds := flags.Float64("seconds", 2, "how long")
	if err := flags.Parse(os.Args[2:]); err != nil {
		fail(err)
	}
	switch os.Args[1] {
	case "serve":
		fail(serve(flags.Arg(0)))
	case "run":
		out := run(flags.Arg(0), *workers, time.Duration(*seconds*float64(time.Second)))
		if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
			fail(err)
		}
	default:
		fail(fmt.Errorf("unknown command %q", os.Args[1]))
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func serve(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			if _, err := conn.Write([]byte{1}); err == nil {
				_, _ = conn.Read(make([]byte, 1)) // until the client resets
			}
		}()
	}
}

func run(target string, workers int, length time.Duration) result {
	times := make([][]time.Duration, workers)
	failed := make([]int, workers)
	var wait sync.WaitGroup
	start := time.Now()
	for worker := range workers {
		wait.Go(func() {
			for time.Since(start) < length {
				begun := time.Now()
				if err := once(target); err != nil {
					failed[worker]++
					continue
				}
				times[worker] = append(times[worker], time.Since(begun))
			}
		})
	}
	wait.Wait()
	elapsed := time.Since(start)
	all := slices.Concat(times...)
	slices.Sort(all)
	out := result{Connections: len(all), PerSecond: float64(len(all)) / elapsed.Seconds()}
	for _, count := range failed {
		out.Failed += count
	}
	if len(all) > 0 {
		out.P50 = float64(all[len(all)/2].Nanoseconds()) / 1000
		out.P99 = float64(all[len(all)*99/100].Nanoseconds()) / 1000
	}
	return out
}

func once(target string) error {
	conn, err := net.DialTimeout("tcp", target, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}
