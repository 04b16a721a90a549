package main

import (
	"reflect"
	"strings"
	"testing"
)

func TestListReadsBothForms(t *testing.T) {
	for config, want := range map[string][]string{
		`{"cniVersion":"1.0.0","name":"x","type":"macvlan"}`:                                 {"macvlan"},
		`{"cniVersion":"1.0.0","type":"macvlan"}`:                                            {"macvlan"},
		`{"cniVersion":"1.0.0","name":"x","plugins":[{"type":"macvlan"},{"type":"tuning"}]}`: {"macvlan", "tuning"},
		`{"cniVersion":"1.0.0","plugins":[{"type":"macvlan","capabilities":{"mac":true}}]}`:  {"macvlan"},
	} {
		list, err := delegate{Network: "ns/nad", Config: []byte(config)}.list()
		if err != nil {
			t.Errorf("%s: %v", config, err)
			continue
		}
		var types []string
		for _, p := range list.Plugins {
			types = append(types, p.Network.Type)
		}
		if !reflect.DeepEqual(types, want) || (list.Name != "x" && list.Name != "nad") {
			t.Errorf("%s: got %q with plugins %v", config, list.Name, types)
		}
	}
}

func TestListRefuses(t *testing.T) {
	for config, want := range map[string]string{
		``:                       "no valid JSON",
		`{"cniVersion":"1.0.0"}`: "type",
		`{"plugins":[]}`:         "plugin",
	} {
		_, err := delegate{Network: "ns/nad", Config: []byte(config)}.list()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want one with %q", config, err, want)
		}
	}
}

func TestMemo(t *testing.T) {
	m := memo{directory: t.TempDir() + "/new", container: "abc"}
	if got, err := m.load(); got != nil || err != nil {
		t.Fatalf("unknown container: got %v, %v", got, err)
	}
	want := []delegate{{Network: "n", Interface: "net1", Config: []byte("{}"), Capabilities: map[string]any{"mac": "m"}}}
	if err := m.save(want); err != nil {
		t.Fatal(err)
	}
	if got, err := m.load(); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v, %v", got, err)
	}
	for range 2 {
		if err := m.forget(); err != nil {
			t.Fatal(err)
		}
	}
}
