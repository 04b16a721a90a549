package main

import (
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"strings"
)

const networksAnnotation = "k8s.v1.cni.cncf.io/networks"

// selection is one element of the network-selection annotation: which network, and what the pod asks of it.
type selection struct {
	Name         string   `json:"name"`
	Namespace    string   `json:"namespace,omitempty"`
	Interface    string   `json:"interface,omitempty"`
	IPs          []string `json:"ips,omitempty"`
	MAC          string   `json:"mac,omitempty"`
	DefaultRoute []net.IP `json:"default-route,omitempty"`
}

var dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)

// parseSelections reads the annotation in its short form ("a,ns/b@if0") or as a JSON list. Interfaces without a name
// become net1, net2, ... by their place in the list; networks without a namespace are in the pod's.
func parseSelections(annotation, podNamespace string) ([]selection, error) {
	annotation = strings.TrimSpace(annotation)
	if annotation == "" {
		return nil, nil
	}
	parse := parseShort
	if strings.HasPrefix(annotation, "[") {
		parse = parseJSON
	}
	selections, err := parse(annotation)
	if err != nil {
		return nil, fmt.Errorf("annotation %s: %w", networksAnnotation, err)
	}
	used := map[string]bool{"eth0": true, "lo": true}
	for i := range selections {
		s := &selections[i]
		if s.Namespace == "" {
			s.Namespace = podNamespace
		}
		if s.Interface == "" {
			s.Interface = fmt.Sprintf("net%d", i+1)
		}
		if err := s.validate(); err != nil {
			return nil, fmt.Errorf("annotation %s, element %d: %w", networksAnnotation, i+1, err)
		}
		if used[s.Interface] {
			return nil, fmt.Errorf("annotation %s, element %d: interface %q is used twice in the pod",
				networksAnnotation, i+1, s.Interface)
		}
		used[s.Interface] = true
	}
	return selections, nil
}

func parseJSON(annotation string) ([]selection, error) {
	var selections []selection
	decoder := json.NewDecoder(strings.NewReader(annotation))
	// A misspelt key must not pass: the test that it belongs to would prove nothing.
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&selections); err != nil {
		return nil, err
	}
	return selections, nil
}

func parseShort(annotation string) ([]selection, error) {
	var selections []selection
	for _, item := range strings.Split(annotation, ",") {
		item = strings.TrimSpace(item)
		var s selection
		rest, iface, hasInterface := strings.Cut(item, "@")
		if hasInterface && iface == "" {
			return nil, fmt.Errorf("%q names no interface behind the @", item)
		}
		s.Interface = iface
		if namespace, name, ok := strings.Cut(rest, "/"); ok {
			s.Namespace, s.Name = namespace, name
			if namespace == "" {
				return nil, fmt.Errorf("%q names no namespace before the /", item)
			}
		} else {
			s.Name = rest
		}
		selections = append(selections, s)
	}
	return selections, nil
}

func (s *selection) validate() error {
	if !dnsLabel.MatchString(s.Name) {
		return fmt.Errorf("%q is no name of a network", s.Name)
	}
	if !dnsLabel.MatchString(s.Namespace) {
		return fmt.Errorf("%q is no namespace", s.Namespace)
	}
	if len(s.Interface) > 15 || strings.ContainsAny(s.Interface, "/ :") {
		return fmt.Errorf("%q is no interface name (1 to 15 characters, no slash, colon or space)", s.Interface)
	}
	for _, ip := range s.IPs {
		if _, _, err := net.ParseCIDR(ip); err != nil && net.ParseIP(ip) == nil {
			return fmt.Errorf("ips: %q is no IP address", ip)
		}
	}
	if s.MAC != "" {
		if mac, err := net.ParseMAC(s.MAC); err != nil || len(mac) != 6 {
			return fmt.Errorf("mac: %q is no MAC address", s.MAC)
		}
	}
	return nil
}

// capabilities is what a delegate that declares them finds in its runtimeConfig.
func (s *selection) capabilities() map[string]any {
	c := map[string]any{}
	if len(s.IPs) > 0 {
		c["ips"] = s.IPs
	}
	if s.MAC != "" {
		c["mac"] = s.MAC
	}
	return c
}
