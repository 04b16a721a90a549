package main

import (
	"reflect"
	"strings"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

var (
	rootFolder        = types.ManagedObjectReference{Type: "Folder", Value: "group-d1"}
	propertyCollector = types.ManagedObjectReference{Type: "PropertyCollector", Value: "propertyCollector"}
	taskManager       = types.ManagedObjectReference{Type: "TaskManager", Value: "TaskManager"}
	authorization     = types.ManagedObjectReference{Type: "AuthorizationManager", Value: "AuthorizationManager"}
)

// extension has the methods that replace or complete the simulator's. A request names the object it is for in its This.
type extension struct {
	mo.ExtensibleManagedObject // the simulator takes whatever it has for a managed object

	user string // the administrator

	control *control

	lock       sync.Mutex
	ports      map[string]int                          // the next port's key, by switch
	overrides  map[string]*ownPort                     // by switch and port
	collectors map[*simulator.PropertyCollector]string // that wait for changes, with their session's key
	uplinks    map[string]uplink                       // by switch and port
	away       map[types.ManagedObjectReference]*types.HostConfigInfo
}

// Lock and Unlock do nothing: the simulator would serve one call of the extension at a time otherwise.
func (e *extension) Lock()   {}
func (e *extension) Unlock() {}

// extend puts the extension in front of the simulator's objects.
func extend(registry *simulator.Registry, user string) *extension {
	e := &extension{
		user:  user,
		ports: map[string]int{}, overrides: map[string]*ownPort{}, uplinks: map[string]uplink{},
		collectors: map[*simulator.PropertyCollector]string{},
		away:       map[types.ManagedObjectReference]*types.HostConfigInfo{},
		control:    newControl(),
	}
	e.Self = types.ManagedObjectReference{Type: "EgressExtension", Value: "egress-extension"}
	registry.Put(e)
	registry.AddHandler(&newcomers{extension: e})
	registry.Handler = e.handle
	// It only keeps lists of recent tasks, which nobody here reads, and writes to entities while others read them.
	registry.RemoveHandler(registry.Get(taskManager).(*simulator.TaskManager))
	return e
}

// The kinds of objects whose methods are here. Others have some of the same name, such as UpdateConfig.
var extended = map[string]bool{
	"HostNetworkSystem": true, "DistributedVirtualPortgroup": true, switchType: true,
	"DistributedVirtualSwitchManager": true, "Folder": true, "HostSystem": true,
	"PropertyCollector": true, "AuthorizationManager": true,
}

// handle sees every request before the simulator does. The simulator looks a method up on the object that
// Method.This names, the session's own objects first; so a call for the extension is given the extension's name.
func (e *extension) handle(ctx *simulator.Context, method *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	login := ctx.Session == nil
	if login || ctx.Session.UserName != "" { // not the program's own
		e.control.count(method.Name)
	}
	if !login && ctx.Session.UserName != "" {
		e.control.pause(method.Name)
		if fault := e.permitted(ctx, method); fault != nil {
			return nil, fault
		}
		entity, name := subject(ctx, method.This), ""
		ctx.WithLock(entity, func() { name = entity.Entity().Name })
		if fault := e.control.fault(method.Name, name, false); fault != nil {
			return nil, fault
		}
	}
	if method.Name == "Logout" && !login {
		e.forget(ctx.Session.Key)
	}
	if login || !extended[method.This.Type] {
		return nil, nil
	}
	name := strings.Replace(method.Name, "_Task", "Task", 1)
	if !reflect.ValueOf(e).MethodByName(strings.ToUpper(name[:1]) + name[1:]).IsValid() {
		return nil, nil
	}
	method.This = e.Self
	return e, nil
}
