package main

import (
	"reflect"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

// The vSphere API's data objects are trees of optional properties, so its three rules are written once, by reflection:
//   - a configuration specification changes what it sets: overlay;
//   - a setting that is inherited has the values of the level above: inherit;
//   - what clients got must not change under them: clone.

// inheritable is the type that settings with an "inherited" flag embed.
var inheritable = reflect.TypeOf(types.InheritablePolicy{})

// clone returns a copy that shares nothing with the original.
func clone[T any](original T) T {
	result := reflect.New(reflect.TypeOf(&original).Elem()).Elem()
	result.Set(copied(reflect.ValueOf(&original).Elem()))
	return result.Interface().(T)
}

func copied(value reflect.Value) reflect.Value {
	result := reflect.New(value.Type()).Elem()
	result.Set(value)
	switch value.Kind() {
	case reflect.Pointer:
		if !value.IsNil() {
			result.Set(reflect.New(value.Type().Elem()))
			result.Elem().Set(copied(value.Elem()))
		}
	case reflect.Interface:
		if !value.IsNil() {
			result.Set(copied(value.Elem()))
		}
	case reflect.Slice:
		if !value.IsNil() {
			result.Set(reflect.MakeSlice(value.Type(), value.Len(), value.Len()))
			for i := range value.Len() {
				result.Index(i).Set(copied(value.Index(i)))
			}
		}
	case reflect.Struct:
		for i := range value.NumField() {
			if value.Type().Field(i).IsExported() {
				result.Field(i).Set(copied(value.Field(i)))
			}
		}
	}
	return result
}

// overlay sets in target what specification sets: in a specification "unset" means "unchanged"
// (HostVirtualSwitchSpec.policy: "If the policy property is not set and you are updating a virtual switch, then the
// policy will be unchanged"; the same is true of the optional properties of DVPortgroupConfigSpec and DVSConfigSpec).
func overlay[T any](target *T, specification T) {
	overlayValue(reflect.ValueOf(target).Elem(), reflect.ValueOf(&specification).Elem(), true)
}

// optional: whether the zero value means that the property is not set. Go cannot tell an optional text or number that
// is unset from one that is empty; XML's omitempty is how govmomi marks the optional ones.
func overlayValue(target, specification reflect.Value, optional bool) {
	switch specification.Kind() {
	case reflect.Pointer:
		switch {
		case specification.IsNil():
		case target.IsNil():
			target.Set(copied(specification))
		default:
			fresh := copied(target)
			overlayValue(fresh.Elem(), specification.Elem(), false)
			target.Set(fresh)
		}
	case reflect.Interface:
		switch {
		case specification.IsNil():
		case target.IsNil() || target.Elem().Type() != specification.Elem().Type():
			target.Set(copied(specification))
		default:
			fresh := copied(target.Elem())
			overlayValue(fresh, specification.Elem(), false)
			target.Set(fresh)
		}
	case reflect.Slice:
		if !specification.IsNil() {
			target.Set(copied(specification))
		}
	case reflect.Struct:
		for i := range specification.NumField() {
			field := specification.Type().Field(i)
			if field.IsExported() {
				overlayValue(target.Field(i), specification.Field(i), strings.Contains(field.Tag.Get("xml"), "omitempty"))
			}
		}
	default:
		if !optional || !specification.IsZero() {
			target.Set(specification)
		}
	}
}

// inherit gives every setting of lower that is inherited, or that lower does not have, the values of upper.
//
// InheritablePolicy.inherited: "When used in a configuration information object, the values of the properties in the
// subclass are the effective values. If inherited is true, the object is getting the effective values from upper level."
func inherit[T any](lower *T, upper T) {
	inheritValue(reflect.ValueOf(lower).Elem(), reflect.ValueOf(&upper).Elem())
}

func inheritValue(lower, upper reflect.Value) {
	switch lower.Kind() {
	case reflect.Pointer, reflect.Interface:
		if upper.IsNil() {
			return
		}
		if lower.IsNil() || isInherited(lower) {
			lower.Set(copied(upper))
			markInherited(lower)
			return
		}
		if lower.Kind() == reflect.Interface {
			if lower.Elem().Type() == upper.Elem().Type() {
				inheritValue(lower.Elem(), upper.Elem())
			}
			return
		}
		inheritValue(lower.Elem(), upper.Elem())
	case reflect.Struct:
		for i := range lower.NumField() {
			if lower.Type().Field(i).IsExported() {
				inheritValue(lower.Field(i), upper.Field(i))
			}
		}
	}
}

func isInherited(value reflect.Value) bool {
	policy := policyOf(value)
	return policy.IsValid() && policy.Field(1).Bool()
}

// markInherited marks a setting and all settings in it.
func markInherited(value reflect.Value) {
	switch value.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !value.IsNil() {
			markInherited(value.Elem())
		}
	case reflect.Struct:
		if value.Type() == inheritable {
			value.Set(reflect.ValueOf(types.InheritablePolicy{Inherited: true}))
			return
		}
		for i := range value.NumField() {
			if value.Type().Field(i).IsExported() {
				markInherited(value.Field(i))
			}
		}
	}
}

// policyOf finds the InheritablePolicy in a setting, which may be embedded in an embedded type.
func policyOf(value reflect.Value) reflect.Value {
	for value.Kind() == reflect.Pointer || value.Kind() == reflect.Interface {
		value = value.Elem()
	}
	if value.Kind() != reflect.Struct {
		return reflect.Value{}
	}
	if value.Type() == inheritable {
		return value
	}
	for i := range value.NumField() {
		if field := value.Type().Field(i); field.Anonymous && field.IsExported() {
			if found := policyOf(value.Field(i)); found.IsValid() {
				return found
			}
		}
	}
	return reflect.Value{}
}
