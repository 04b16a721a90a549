// Copyright (c) 2026, egress.router maintainers
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"net"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

const (
	payload = 64
	// Datagrams of one call to the kernel: the sender's own work must not hide what the way costs.
	batch = 64
)

// The standard library has no name for the call's number.
var sendmmsg = map[string]uintptr{"amd64": 307, "arm64": 269}

type sent struct {
	Datagrams int     `json:"datagrams"`
	Seconds   float64 `json:"seconds"`
}

// message is the kernel's struct mmsghdr.
type message struct {
	header syscall.Msghdr
	length uint32
}

// flood sends datagrams from one socket, and tells how many.
func flood(end context.Context, target string) (sent, error) {
	conn, err := net.Dial("udp", target)
	if err != nil {
		return sent{}, err
	}
	defer conn.Close()
	file, err := conn.(*net.UDPConn).File() // blocking: a full queue waits in the kernel
	if err != nil {
		return sent{}, err
	}
	defer file.Close()
	data := make([]byte, payload)
	vector := syscall.Iovec{Base: &data[0], Len: payload}
	var messages [batch]message
	for number := range messages {
		messages[number].header.Iov = &vector
		messages[number].header.Iovlen = 1
	}
	runtime.LockOSThread()
	start := time.Now()
	descriptor, count := file.Fd(), 0
	for end.Err() == nil {
		done, _, code := syscall.Syscall6(
			sendmmsg[runtime.GOARCH], descriptor, uintptr(unsafe.Pointer(&messages[0])), batch, 0, 0, 0)
		if code != 0 {
			return sent{}, code
		}
		count += int(done)
	}
	return sent{Datagrams: count, Seconds: time.Since(start).Seconds()}, nil
}
