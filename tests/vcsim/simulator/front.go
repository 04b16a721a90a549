package main

import (
	"bytes"
	"io"
	"net/http"
)

// The simulator has no place for the type VmwareDistributedVirtualSwitch: inside, switches are of its base type. vCenter's
// are not, and clients look at the type: community.vmware, and pyVmomi, which does not find the properties otherwise.
// So the name is changed at the door.
const switchType = "DistributedVirtualSwitch"

var (
	inward = [][2][]byte{
		{[]byte(`type="VmwareDistributedVirtualSwitch"`), []byte(`type="DistributedVirtualSwitch"`)},
		{[]byte(`>VmwareDistributedVirtualSwitch<`), []byte(`>DistributedVirtualSwitch<`)},
	}
	outward = [][2][]byte{
		{[]byte(`type="DistributedVirtualSwitch"`), []byte(`type="VmwareDistributedVirtualSwitch"`)},
	}
)

func renamed(text []byte, names [][2][]byte) []byte {
	for _, pair := range names {
		text = bytes.ReplaceAll(text, pair[0], pair[1])
	}
	return text
}

// front is what clients talk to.
func front(simulator http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client is gone
		}
		r.Body = io.NopCloser(bytes.NewReader(renamed(body, inward)))
		simulator.ServeHTTP(answer{w}, r)
	})
}

// answer renames in what the simulator writes: a SOAP answer is one Write.
type answer struct{ http.ResponseWriter }

func (a answer) Write(text []byte) (int, error) {
	_, err := a.ResponseWriter.Write(renamed(text, outward))
	return len(text), err
}
