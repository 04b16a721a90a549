package main

import (
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
)

// loadRules redirects what comes in by eth0, and lets everything leave with the router's address. It filters nothing.
func loadRules(name string, address net.IP, destinations []string) error {
	var redirects strings.Builder
	for _, destination := range destinations {
		rule, err := redirect(destination)
		if err != nil {
			return fmt.Errorf("invalid destination %q: %w", destination, err)
		}
		fmt.Fprintf(&redirects, "        iif %s %s\n", primaryInterface, rule)
	}
	ruleset := fmt.Sprintf(`
table ip egress_cni
flush table ip egress_cni
table ip egress_cni {
    chain prerouting {
        type nat hook prerouting priority dstnat;
%s    }
    chain postrouting {
        type nat hook postrouting priority srcnat;
        oif %s snat to %s
    }
}
`, redirects.String(), name, address)
	nft := exec.Command("nft", "-f", "-")
	nft.Stdin = strings.NewReader(ruleset)
	if output, err := nft.CombinedOutput(); err != nil {
		return fmt.Errorf("failed to set nftables rules: %w: %s", err, strings.Join(strings.Fields(string(output)), " "))
	}
	return nil
}

// redirect reads `PORT PROTOCOL IP [TARGETPORT]`, or an IP address alone: a fallback, which OpenShift's operator never
// writes.
func redirect(destination string) (string, error) {
	words := strings.Split(destination, " ")
	if len(words) == 1 {
		return "dnat to " + net.ParseIP(words[0]).String(), nil
	}
	if len(words) != 3 && len(words) != 4 {
		return "", fmt.Errorf("%d words", len(words))
	}
	protocol := strings.ToLower(words[1])
	if protocol != "tcp" && protocol != "udp" && protocol != "sctp" {
		return "", fmt.Errorf("protocol %q", words[1])
	}
	target := net.ParseIP(words[2]).String()
	for i, word := range words {
		if _, err := strconv.ParseUint(word, 10, 16); (i == 0 || i == 3) && err != nil {
			return "", fmt.Errorf("port %q", word)
		}
	}
	if len(words) == 4 {
		target += ":" + words[3]
	}
	return fmt.Sprintf("%s dport %s dnat to %s", protocol, words[0], target), nil
}
