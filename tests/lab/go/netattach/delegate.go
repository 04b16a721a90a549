package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/containernetworking/cni/libcni"
)

// delegate is one network to attach: its configuration, the interface it makes, what is asked of it.
type delegate struct {
	Network      string         `json:"network"`
	Interface    string         `json:"interface"`
	Config       []byte         `json:"config"`
	Capabilities map[string]any `json:"capabilities"`
}

func primaryDelegate(c conf) (delegate, error) {
	config, err := os.ReadFile(c.ClusterNetwork)
	if err != nil {
		return delegate{}, fmt.Errorf("netattach: the primary network's configuration cannot be read: %w", err)
	}
	return delegate{Network: "cluster-network", Interface: primaryInterface, Config: config,
		Capabilities: c.RuntimeConfig}, nil
}

// list reads a configuration, be it one plugin's or a list of plugins.
func (d delegate) list() (*libcni.NetworkConfigList, error) {
	var keys map[string]any
	if err := json.Unmarshal(d.Config, &keys); err != nil {
		return nil, fmt.Errorf("its config is no valid JSON: %w", err)
	}
	config := d.Config
	if name, _ := keys["name"].(string); name == "" {
		// The specification lets a definition leave the name out; CNI does not.
		keys["name"] = filepath.Base(d.Network)
		config, _ = json.Marshal(keys)
	}
	if _, isList := keys["plugins"]; isList {
		return libcni.NetworkConfFromBytes(config)
	}
	single, err := libcni.ConfFromBytes(config)
	if err != nil {
		return nil, err
	}
	return libcni.ConfListFromConf(single)
}

// memo keeps a container's delegates on the node's disk from ADD to DEL.
type memo struct{ directory, container string }

func (m memo) path() string { return filepath.Join(m.directory, m.container+".json") }

func (m memo) save(delegates []delegate) error {
	data, err := json.Marshal(delegates)
	if err == nil {
		err = os.MkdirAll(m.directory, 0o700)
	}
	if err == nil {
		err = os.WriteFile(m.path(), data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("netattach: remembering the delegates: %w", err)
	}
	return nil
}

// load gives none for a container that is not known: a DEL may come twice, or without an ADD.
func (m memo) load() ([]delegate, error) {
	data, err := os.ReadFile(m.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var delegates []delegate
	if err == nil {
		err = json.Unmarshal(data, &delegates)
	}
	if err != nil {
		return nil, fmt.Errorf("netattach: %s: %w", m.path(), err)
	}
	return delegates, nil
}

func (m memo) forget() error {
	if err := os.Remove(m.path()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("netattach: %w", err)
	}
	return nil
}
