// Copyright (c) 2026, egress.router maintainers
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// ask gets a page with many clients at once, each with a new connection for each request, and counts answers by status;
// "failed" are requests without answer.
func ask(end context.Context, url string, clients int) map[string]int {
	var lock sync.Mutex
	var wait sync.WaitGroup
	found := map[string]int{}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	for range clients {
		wait.Go(func() {
			for end.Err() == nil {
				status := "failed"
				if answer, err := client.Get(url); err == nil {
					status = strconv.Itoa(answer.StatusCode)
					_, _ = io.Copy(io.Discard, answer.Body)
					_ = answer.Body.Close()
				}
				lock.Lock()
				found[status]++
				lock.Unlock()
			}
		})
	}
	wait.Wait()
	return found
}
