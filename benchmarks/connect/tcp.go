// Copyright (c) 2026, egress.router maintainers
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

const patience = time.Second

type result struct {
	Connections int     `json:"connections"`
	Failed      int     `json:"failed"`
	PerSecond   float64 `json:"per_second"`
	P50         float64 `json:"p50_us"`
	P99         float64 `json:"p99_us"`
}

// tally is what became of connections.
type tally struct {
	lock   sync.Mutex
	times  []time.Duration
	failed int
}

func (t *tally) add(took time.Duration, err error) {
	t.lock.Lock()
	defer t.lock.Unlock()
	if err != nil {
		t.failed++
		return
	}
	t.times = append(t.times, took)
}

func (t *tally) result(elapsed time.Duration) result {
	slices.Sort(t.times)
	count := len(t.times)
	out := result{Connections: count, Failed: t.failed, PerSecond: float64(count) / elapsed.Seconds()}
	if count > 0 {
		out.P50 = float64(t.times[count/2].Nanoseconds()) / 1000
		out.P99 = float64(t.times[count*99/100].Nanoseconds()) / 1000
	}
	return out
}

// serve tells each client the last byte of the address that it reached, and then repeats what the client says.
func serve(end context.Context, address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	context.AfterFunc(end, func() { listener.Close() })
	fmt.Println("ready")
	for {
		conn, err := listener.Accept()
		if end.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			ip := conn.LocalAddr().(*net.TCPAddr).IP
			said := make([]byte, 64)
			said[0] = ip[len(ip)-1]
			for count := 1; err == nil; { // until the client resets
				if _, err = conn.Write(said[:count]); err == nil {
					count, err = conn.Read(said)
				}
			}
		}()
	}
}

// run connects one after another: the next connection waits for the one before.
func run(end context.Context, target string, workers int) result {
	var found tally
	var wait sync.WaitGroup
	start := time.Now()
	for range workers {
		wait.Go(func() {
			for end.Err() == nil {
				begun := time.Now()
				_, err := connect(target, nil)
				found.add(time.Since(begun), err)
			}
		})
	}
	wait.Wait()
	return found.result(time.Since(start))
}

// open connects when it is time, as clients that know nothing of each other do, asks one question and waits for the answer.
// A late start counts as part of what the connection took.
func open(end context.Context, target string, rate int) result {
	var found tally
	var wait sync.WaitGroup
	start := time.Now()
	every(end, time.Second/time.Duration(rate), func(planned time.Time) {
		wait.Go(func() {
			_, err := connect(target, []byte{'?'})
			found.add(time.Since(planned), err)
		})
	})
	elapsed := time.Since(start)
	wait.Wait()
	return found.result(elapsed)
}

// watch connects all the time and prints who answers whenever that has changed.
func watch(end context.Context, target string) {
	var lock sync.Mutex
	last := ""
	every(end, 2*time.Millisecond, func(time.Time) {
		go func() {
			who, err := connect(target, nil)
			now := time.Now()
			answer := fmt.Sprint(who)
			if errors.Is(err, syscall.ECONNREFUSED) {
				answer = "refused"
			} else if err != nil {
				answer = "nobody"
			}
			lock.Lock()
			defer lock.Unlock()
			if answer != last {
				fmt.Println(now.UnixNano(), answer)
				last = answer
			}
		}()
	})
}

// every calls what does not take long, with the time that was planned for it. The runtime's own timers are late by up to a
// millisecond.
func every(end context.Context, interval time.Duration, call func(time.Time)) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for planned := time.Now(); end.Err() == nil; planned = planned.Add(interval) {
		if left := time.Until(planned); left > 0 {
			pause := syscall.NsecToTimespec(left.Nanoseconds())
			_ = syscall.Nanosleep(&pause, nil)
		}
		call(planned)
	}
}

// connect returns what the server says first. If there is a question, the server has to repeat it.
func connect(target string, question []byte) (byte, error) {
	conn, err := net.DialTimeout("tcp", target, patience)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
		return 0, err
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	if len(question) > 0 {
		if _, err := conn.Write(question); err != nil {
			return 0, err
		}
	}
	answer := make([]byte, 1+len(question))
	_, err = io.ReadFull(conn, answer)
	return answer[0], err
}
