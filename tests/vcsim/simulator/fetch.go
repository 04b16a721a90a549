package main

import (
	"reflect"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// FetchResponse and FetchBody are the answer to Fetch, with which pyVmomi reads a single property.
type FetchResponse struct {
	Returnval types.AnyType `xml:"returnval,omitempty,typeattr"`
}

type FetchBody struct {
	Res    *FetchResponse `xml:"FetchResponse,omitempty"`
	Fault_ *soap.Fault    `xml:"http://schemas.xmlsoap.org/soap/envelope/ Fault,omitempty"`
}

func (b *FetchBody) Fault() *soap.Fault { return b.Fault_ }

// Fetch answers nothing for a property that is not set. The plain simulator then sends the answer to another method,
// of which pyVmomi makes an AttributeError.
func (e *extension) Fetch(ctx *simulator.Context, req any) soap.HasFault {
	collector := ctx.Session.Get(propertyCollector)
	var answer soap.HasFault
	ctx.WithLock(collector, func() {
		arguments := []reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(req)}
		answer = reflect.ValueOf(collector).MethodByName("Fetch").Call(arguments)[0].Interface().(soap.HasFault)
	})
	if answer.Fault() == nil && reflect.TypeOf(answer).Elem().Name() != "FetchBody" {
		return &FetchBody{Res: &FetchResponse{}}
	}
	return answer
}
