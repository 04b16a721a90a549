package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// Every session waits for changes (of a task, say) with a PropertyCollector of its own, but all of them have the same
// name, and the simulator tells a change to the last one of a name: with two sessions, the first would wait for ever.
// So changes are passed on to all of them here.

func (e *extension) WaitForUpdates(ctx *simulator.Context, req *types.WaitForUpdates) soap.HasFault {
	return waiting(e, ctx, req.This, req.Version, func(c *simulator.PropertyCollector) soap.HasFault { return c.WaitForUpdates(ctx, req) })
}

func (e *extension) WaitForUpdatesEx(ctx *simulator.Context, req *types.WaitForUpdatesEx) soap.HasFault {
	return waiting(e, ctx, req.This, req.Version, func(c *simulator.PropertyCollector) soap.HasFault { return c.WaitForUpdatesEx(ctx, req) })
}

func waiting(e *extension, ctx *simulator.Context, this types.ManagedObjectReference, version string, wait func(*simulator.PropertyCollector) soap.HasFault) (answer soap.HasFault) {
	collector := ctx.Session.Get(this).(*simulator.PropertyCollector)
	if version == "" { // the first call, with which the simulator begins to tell
		e.lock.Lock()
		e.collectors[collector] = ctx.Session.Key
		e.lock.Unlock()
		defer ctx.Map.RemoveHandler(collector)
	}
	ctx.WithLock(collector, func() { answer = wait(collector) })
	return answer
}

// tell passes a change on.
func (e *extension) tell(change func(*simulator.PropertyCollector)) {
	e.lock.Lock()
	defer e.lock.Unlock()
	for collector := range e.collectors {
		change(collector)
	}
}

// forget ends a session's waiting.
func (e *extension) forget(session string) {
	e.lock.Lock()
	defer e.lock.Unlock()
	for collector, key := range e.collectors {
		if key == session {
			delete(e.collectors, collector)
		}
	}
}
