package main

import (
	"net"
	"reflect"
	"strings"
	"testing"
)

func TestParseSelections(t *testing.T) {
	for name, c := range map[string]struct {
		annotation string
		want       []selection
	}{
		"empty":          {"  ", nil},
		"short":          {"a", []selection{{Name: "a", Namespace: "pod", Interface: "net1"}}},
		"with namespace": {"other/a", []selection{{Name: "a", Namespace: "other", Interface: "net1"}}},
		"list": {"a@egress0, other/b ,c", []selection{
			{Name: "a", Namespace: "pod", Interface: "egress0"},
			{Name: "b", Namespace: "other", Interface: "net2"},
			{Name: "c", Namespace: "pod", Interface: "net3"},
		}},
		"json": {`[{"name":"a","namespace":"n","interface":"net7","ips":["198.51.100.50/24"],
			"mac":"02:00:5e:00:53:01","default-route":["198.51.100.1"]},{"name":"b"}]`, []selection{
			{Name: "a", Namespace: "n", Interface: "net7", IPs: []string{"198.51.100.50/24"},
				MAC: "02:00:5e:00:53:01", DefaultRoute: []net.IP{net.ParseIP("198.51.100.1")}},
			{Name: "b", Namespace: "pod", Interface: "net2"},
		}},
		"empty list": {"[]", []selection{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseSelections(c.annotation, "pod")
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestParseSelectionsRefuses(t *testing.T) {
	for annotation, want := range map[string]string{
		"a,,b":                         `"" is no name`,
		"/a":                           "names no namespace",
		"a@":                           "names no interface",
		"A":                            `"A" is no name`,
		"a@eth0":                       "used twice",
		"a@x,b@x":                      "used twice",
		"a@waytoolonginterface":        "no interface name",
		`[{"name":"a","intreface":1}]`: "intreface",
		`[{"name":"a"`:                 "EOF",
		`[{"namespace":"n"}]`:          `"" is no name`,
		`[{"name":"a","ips":["x"]}]`:   "no IP address",
		`[{"name":"a","mac":"x"}]`:     "no MAC address",
		`[{"name":"a","mac":"00:00:00:00:fe:80:00:00"}]`: "no MAC address",
		`[{"name":"a","default-route":["x"]}]`:           "x",
	} {
		got, err := parseSelections(annotation, "pod")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %+v, error %v, want an error with %q", annotation, got, err, want)
		}
	}
}

func TestCapabilities(t *testing.T) {
	if got := (&selection{}).capabilities(); len(got) != 0 {
		t.Errorf("nothing was asked for, got %v", got)
	}
	got := (&selection{MAC: "m", IPs: []string{"i"}}).capabilities()
	if got["mac"] != "m" || !reflect.DeepEqual(got["ips"], []string{"i"}) {
		t.Errorf("got %v", got)
	}
}
