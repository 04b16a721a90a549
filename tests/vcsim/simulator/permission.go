package main

import (
	"slices"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// Privileges. Source of the pairs: the API's type information, which pyVmomi carries too (_typeinfo_vim.py has the
// privilege beside each method). ReconfigureDVPortgroup_Task, ReconfigureDvs_Task and others have none there, because
// it depends on what is changed; for those it is the list "Defined Privileges" of the vSphere security documentation.
var privileges = map[string]string{
	"AddVirtualSwitch":     "Host.Config.Network",
	"UpdateVirtualSwitch":  "Host.Config.Network",
	"RemoveVirtualSwitch":  "Host.Config.Network",
	"AddPortGroup":         "Host.Config.Network",
	"UpdatePortGroup":      "Host.Config.Network",
	"RemovePortGroup":      "Host.Config.Network",
	"RefreshNetworkSystem": "Host.Config.Network",
	"UpdateNetworkConfig":  "Host.Config.Network",
	"DisconnectHost_Task":  "Host.Config.Connection",
	"ReconnectHost_Task":   "Host.Config.Connection",

	"CreateDVS_Task":                  "DVSwitch.Create",
	"ReconfigureDvs_Task":             "DVSwitch.Modify",
	"UpdateDVSHealthCheckConfig_Task": "DVSwitch.Modify",
	"ReconfigureDVPort_Task":          "DVSwitch.PortConfig",
	"AddDVPortgroup_Task":             "DVPortgroup.Create",
	"CreateDVPortgroup_Task":          "DVPortgroup.Create",
	"ReconfigureDVPortgroup_Task":     "DVPortgroup.Modify",

	"CreateVM_Task":        "VirtualMachine.Inventory.Create",
	"ReconfigVM_Task":      "VirtualMachine.Config.EditDevice",
	"PowerOnVM_Task":       "VirtualMachine.Interact.PowerOn",
	"PowerOffVM_Task":      "VirtualMachine.Interact.PowerOff",
	"CreateFolder":         "Folder.Create",
	"AddAuthorizationRole": "Authorization.ModifyRoles",
	"SetEntityPermissions": "Authorization.ModifyPermissions",
}

// required lists the privileges of a call. "Policy operation" (DVPortgroup.PolicyOp, DVSwitch.PolicyOp) is needed
// besides "Modify" where a policy is set.
func required(method *simulator.Method) []string {
	needed, known := privileges[method.Name]
	if !known {
		return nil
	}
	switch body := method.Body.(type) {
	case *types.ReconfigureDVPortgroup_Task:
		if body.Spec.DefaultPortConfig != nil || body.Spec.Policy != nil {
			return []string{needed, "DVPortgroup.PolicyOp"}
		}
	case *types.ReconfigureDvs_Task:
		if spec := body.Spec.GetDVSConfigSpec(); spec.DefaultPortConfig != nil || spec.Policy != nil {
			return []string{needed, "DVSwitch.PolicyOp"}
		}
	}
	return []string{needed}
}

// permitted says whether the session's user may make the call: NoPermission with the object and the first privilege
// that is missing otherwise.
func (e *extension) permitted(ctx *simulator.Context, method *simulator.Method) types.BaseMethodFault {
	if ctx.Session.UserName == "" || ctx.Session.UserName == e.user {
		return nil // the program's own calls, and the administrator
	}
	entity := subject(ctx, method.This)
	granted := held(ctx, ctx.Session.UserName, entity)
	var missing []string
	for _, privilege := range required(method) {
		if !slices.Contains(granted, privilege) {
			missing = append(missing, privilege)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	object := entity.Reference()
	return &types.NoPermission{
		Object: &object, PrivilegeId: missing[0],
		MissingPrivileges: []types.NoPermissionEntityPrivileges{{Entity: object, PrivilegeIds: missing}},
	}
}

// HasPrivilegeOnEntities tells which privileges the session's user has on each entity. The simulator grants all to all.
// Other people's sessions cannot be asked about here.
func (e *extension) HasPrivilegeOnEntities(ctx *simulator.Context, req *types.HasPrivilegeOnEntities) soap.HasFault {
	body := &methods.HasPrivilegeOnEntitiesBody{}
	if req.SessionId != ctx.Session.Key {
		body.Fault_ = simulator.Fault("", &types.InvalidArgument{InvalidProperty: "sessionId"})
		return body
	}
	body.Res = &types.HasPrivilegeOnEntitiesResponse{}
	for _, ref := range req.Entity {
		granted := held(ctx, ctx.Session.UserName, ctx.Map.Get(ref).(mo.Entity))
		row := types.EntityPrivilege{Entity: ref}
		for _, id := range req.PrivId {
			row.PrivAvailability = append(row.PrivAvailability, types.PrivilegeAvailability{
				PrivId: id, IsGranted: ctx.Session.UserName == e.user || slices.Contains(granted, id),
			})
		}
		body.Res.Returnval = append(body.Res.Returnval, row)
	}
	return body
}

// subject is the entity on which a call needs its privilege: a host for its parts.
func subject(ctx *simulator.Context, this types.ManagedObjectReference) mo.Entity {
	switch found := ctx.Map.Get(this).(type) {
	case *simulator.HostNetworkSystem:
		return found.Host
	case mo.Entity:
		return found
	}
	return ctx.Map.Get(rootFolder).(mo.Entity)
}

// held lists what the user may do with the entity: by its own permission, or by the next one above that propagates.
func held(ctx *simulator.Context, user string, entity mo.Entity) []string {
	manager := ctx.Map.Get(authorization).(*simulator.AuthorizationManager)
	for first := true; ; first = false {
		answer := manager.RetrieveEntityPermissions(ctx, &types.RetrieveEntityPermissions{Entity: entity.Reference()})
		for _, permission := range answer.(*methods.RetrieveEntityPermissionsBody).Res.Returnval {
			if strings.EqualFold(permission.Principal, user) && (first || permission.Propagate) {
				for _, role := range manager.RoleList {
					if role.RoleId == permission.RoleId {
						return role.Privilege
					}
				}
			}
		}
		if entity.Entity().Parent == nil {
			return nil
		}
		entity = ctx.Map.Get(*entity.Entity().Parent).(mo.Entity)
	}
}
