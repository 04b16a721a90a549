package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// control does for tests what vCenter's API cannot do. It is HTTP with JSON, on loopback only:
//
//	GET /calls, DELETE /calls                the number of SOAP requests by method; from nought again
//	POST /faults, DELETE /faults             the next calls of a method fail; no more
//	POST /holds, GET /holds, DELETE /holds   the next call of ?method= waits; until it has come; it goes on
//	POST /hosts                              {"host": NAME, "state": "notResponding"|"disconnected"|"connected"}
//	POST /guests                             {"vm": MOID, "nics": [...]}: what VMware Tools would report
type control struct {
	lock   sync.Mutex
	calls  map[string]int
	faults []*plannedFault
	holds  map[string]*hold // that nobody has met yet
	held   map[string]*hold
}

// plannedFault: Object is the name of the entity (of the host for its parts), empty for any. InTask: the call starts
// a task, which fails.
type plannedFault struct {
	Method string `json:"method"`
	Object string `json:"object"`
	Fault  string `json:"fault"`
	Times  int    `json:"times"`
	InTask bool   `json:"in_task"`
}

type hold struct {
	arrived chan struct{}
	release chan struct{}
}

func newControl() *control {
	return &control{calls: map[string]int{}, holds: map[string]*hold{}, held: map[string]*hold{}}
}

func (c *control) count(method string) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.calls[method]++
}

// pause keeps a call that is to be held, until it is released.
func (c *control) pause(method string) {
	c.lock.Lock()
	found := c.holds[method]
	if found != nil {
		delete(c.holds, method)
		c.held[method] = found
	}
	c.lock.Unlock()
	if found != nil {
		close(found.arrived)
		<-found.release
	}
}

// fault returns the fault that is planned for a call, and uses it up.
func (c *control) fault(method, object string, inTask bool) types.BaseMethodFault {
	c.lock.Lock()
	defer c.lock.Unlock()
	for _, planned := range c.faults {
		fits := planned.Method == method && (planned.Object == "" || planned.Object == object)
		if fits && planned.InTask == inTask && planned.Times > 0 {
			planned.Times--
			kind, _ := types.TypeFunc()(planned.Fault)
			return reflect.New(kind).Interface().(types.BaseMethodFault)
		}
	}
	return nil
}

func (c *control) handler(ctx *simulator.Context, e *extension) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /calls", func(w http.ResponseWriter, _ *http.Request) {
		c.lock.Lock()
		calls := maps.Clone(c.calls)
		c.lock.Unlock()
		_ = json.NewEncoder(w).Encode(calls)
	})
	mux.HandleFunc("DELETE /calls", func(http.ResponseWriter, *http.Request) {
		c.lock.Lock()
		defer c.lock.Unlock()
		clear(c.calls)
	})
	mux.HandleFunc("POST /faults", withBody(c.plan))
	mux.HandleFunc("DELETE /faults", func(http.ResponseWriter, *http.Request) {
		c.lock.Lock()
		defer c.lock.Unlock()
		c.faults = nil
	})
	mux.HandleFunc("POST /holds", func(_ http.ResponseWriter, r *http.Request) {
		c.lock.Lock()
		defer c.lock.Unlock()
		c.holds[r.FormValue("method")] = &hold{arrived: make(chan struct{}), release: make(chan struct{})}
	})
	mux.HandleFunc("GET /holds", c.await)
	mux.HandleFunc("DELETE /holds", c.release)
	mux.HandleFunc("POST /hosts", withBody(func(given hostState) error {
		for _, entity := range ctx.Map.All("HostSystem") {
			if host := entity.(*simulator.HostSystem); host.Name == given.Host {
				e.setState(ctx, host, types.HostSystemConnectionState(given.State))
				return nil
			}
		}
		return fmt.Errorf("there is no host %q", given.Host)
	}))
	mux.HandleFunc("POST /guests", withBody(func(given guest) error { return given.apply(ctx) }))
	return mux
}

// withBody decodes the request's JSON; an error is the client's.
func withBody[T any](do func(T) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var given T
		decoder := json.NewDecoder(r.Body)
		decoder.DisallowUnknownFields()
		err := decoder.Decode(&given)
		if err == nil {
			err = do(given)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	}
}

func (c *control) plan(given plannedFault) error {
	kind, ok := types.TypeFunc()(given.Fault)
	if !ok || !reflect.PointerTo(kind).Implements(reflect.TypeFor[types.BaseMethodFault]()) {
		return fmt.Errorf("%q is no fault of the API", given.Fault)
	}
	if given.Times == 0 {
		given.Times = 1
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	c.faults = append(c.faults, &given)
	return nil
}

// await answers when the call has come.
func (c *control) await(w http.ResponseWriter, r *http.Request) {
	method := r.FormValue("method")
	c.lock.Lock()
	found := c.holds[method]
	if found == nil {
		found = c.held[method]
	}
	c.lock.Unlock()
	if found == nil {
		http.Error(w, "nothing holds "+method, http.StatusBadRequest)
		return
	}
	select {
	case <-found.arrived:
	case <-time.After(30 * time.Second):
		http.Error(w, "no call of "+method+" came within 30 s", http.StatusRequestTimeout)
	}
}

func (c *control) release(_ http.ResponseWriter, r *http.Request) {
	method := r.FormValue("method")
	c.lock.Lock()
	defer c.lock.Unlock()
	delete(c.holds, method)
	if found := c.held[method]; found != nil {
		close(found.release)
		delete(c.held, method)
	}
}

type hostState struct {
	Host  string `json:"host"`
	State string `json:"state"`
}
