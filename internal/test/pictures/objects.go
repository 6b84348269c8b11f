package main

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/cases"
)

// object is an object of the API. Its type, what it belongs to and what it refers to are found in
// the client.
type object struct {
	name string
	// from is the method that returns it, such as "Tunnels.Get", or the field that has it, such as
	// "Connector.Connections". The client has no type for an object without it.
	from  string
	place rect

	path   string // of the operation of the method
	typed  reflect.Type
	parent *object // what it belongs to
}

func newObjects() []*object {
	return []*object{
		{name: "account", path: "/accounts/{account_id}", place: rect{16, 16, 728, 586}},
		{name: "user", path: "/user", place: rect{760, 16, 184, 110}},
		{name: "tunnel", from: "Tunnels.Get", place: rect{32, 50, 428, 392}},
		{name: "tunnel token", from: "Tunnels.Token", place: rect{44, 112, 196, 64}},
		{name: "management token", from: "Tunnels.ManagementToken",
			place: rect{252, 112, 196, 64}},
		{name: "connector", from: "Connectors.Get", place: rect{44, 188, 196, 138}},
		{name: "connection", from: "Connector.Connections", place: rect{56, 250, 172, 64}},
		{name: "configuration", from: "Tunnels.Configuration", place: rect{252, 188, 196, 138}},
		{name: "ingress rule", from: "TunnelConfiguration.Config.Ingress",
			place: rect{264, 250, 172, 64}},
		{name: "hostname", from: "Hostnames.List", place: rect{252, 366, 196, 64}},
		{name: "zone", from: "Zones.ForHostname", place: rect{32, 498, 428, 88}},
		{name: "DNS record", from: "DNSRecords.Get", place: rect{252, 510, 196, 64}},
		{name: "hostname route", from: "HostnameRoutes.Get", place: rect{556, 112, 172, 64}},
		{name: "route", from: "Routes.Get", place: rect{556, 220, 172, 64}},
		{name: "virtual network", from: "VirtualNetworks.Get", place: rect{556, 366, 172, 64}},
		{name: "API token", from: "AccountTokens.Get", place: rect{556, 510, 172, 64}},
		{name: "API token", from: "UserTokens.Get", place: rect{772, 50, 160, 64}},
	}
}

// link is the place of an arrow and of its text, which names the fields that refer to an object.
type link struct {
	points []int
	anchor string
	x, y   int
}

var links = map[string]link{
	"hostname route > tunnel": {[]int{556, 144, 460, 144}, "middle", 508, 138},
	"route > tunnel":          {[]int{556, 252, 460, 252}, "middle", 508, 246},
	"route > virtual network": {[]int{642, 284, 642, 366}, "end", 634, 329},
	"hostname > ingress rule": {[]int{350, 366, 350, 314}, "end", 342, 350},
	"hostname > DNS record":   {[]int{430, 430, 430, 510}, "", 438, 473},
	"hostname > zone":         {[]int{252, 398, 90, 398, 90, 498}, "", 98, 473},
	"DNS record > tunnel":     {[]int{272, 510, 272, 442}, "", 280, 465},
}

// drawObjects draws which object belongs to which.
func drawObjects() (*picture, error) {
	objects := newObjects()
	for _, o := range objects {
		if err := o.find(); err != nil {
			return nil, err
		}
	}
	for _, o := range objects {
		if err := o.findParent(objects); err != nil {
			return nil, err
		}
	}
	for _, o := range objects {
		if err := o.checkPlace(objects); err != nil {
			return nil, err
		}
	}
	p := &picture{
		title: "The objects of Cloudflare Tunnel",
		description: "An account has tunnels, routes, virtual networks, hostname routes, zones and " +
			"API tokens. A tunnel has tokens, connectors with connections, a configuration with " +
			"ingress rules, and hostnames. A zone has DNS records. A hostname is an ingress rule " +
			"and a DNS record that points to the tunnel. Routes and hostname routes lead to a " +
			"tunnel; a route is in a virtual network. A user has API tokens too.",
		width: 960, height: 618,
	}
	for _, o := range objects {
		class := "outer"
		switch {
		case o.typed != nil && isContainer(o, objects):
			class = "inner"
		case o.typed != nil:
			class = "root"
		}
		lines := []line{{heading, o.name}}
		if o.typed != nil {
			lines = append(lines, line{name, o.typed.Name()}, line{detail, o.source()})
		}
		p.box(class, o.place, lines...)
	}

	references := referencesOf(objects)
	for _, key := range slices.Sorted(maps.Keys(references)) {
		at, ok := links[key]
		if !ok {
			return nil, fmt.Errorf("%s has no place", key)
		}
		p.arrow(at.points...)
		for i, text := range strings.Split(references[key], "\n") {
			p.text(detail, at.anchor, at.x, at.y+14*i, text)
		}
	}
	for key := range links {
		if references[key] == "" {
			return nil, fmt.Errorf("nothing refers from and to %s", key)
		}
	}
	y := 160
	for _, text := range []string{
		"A box inside another one belongs to it.",
		"An arrow leads to an object that another one refers to, by these fields.",
		"Each box has the Go type, and the method that returns it or the field that has it.",
	} {
		for _, line := range caption.wrapped(text, 184) {
			p.text(caption, "", 760, y, line.text)
			y += lineHeight
		}
		y += lineHeight / 2
	}
	return p, nil
}

// find finds the type of the object, and the path of its operation.
func (o *object) find() error {
	if o.from == "" {
		return nil
	}
	service, method, _ := strings.Cut(o.from, ".")
	field, ok := reflect.TypeFor[cftunnel.Client]().FieldByName(service)
	if !ok {
		return nil // a field of another object
	}
	f, ok := field.Type.MethodByName(method)
	described := cases.Methods[o.from]
	if !ok || len(described.Operations) == 0 {
		return fmt.Errorf("the client has no method %s", o.from)
	}
	_, o.path, _ = strings.Cut(described.Operations[0], " ")
	o.typed = element(f.Type.Out(0))
	return nil
}

// element returns the type of the items of a list, and what a pointer points to.
func element(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t
}

// findParent finds what the object belongs to: the object with the longest path that begins its
// path, the one whose field it is, or the one that a field with an ID names.
func (o *object) findParent(objects []*object) error {
	for _, other := range objects {
		if other.path != "" && strings.HasPrefix(o.path, other.path+"/") &&
			(o.parent == nil || len(other.path) > len(o.parent.path)) {
			o.parent = other
		}
	}
	if owner, path, ok := strings.Cut(o.from, "."); ok && o.typed == nil {
		for _, other := range objects {
			if other.typed != nil && other.typed.Name() == owner {
				o.parent, o.typed = other, other.typed
				break
			}
		}
		for name := range strings.SplitSeq(path, ".") {
			if o.typed == nil || o.typed.Kind() != reflect.Struct {
				return fmt.Errorf("there is no field %s", o.from)
			}
			field, ok := o.typed.FieldByName(name)
			if !ok {
				return fmt.Errorf("there is no field %s", o.from)
			}
			o.typed = element(field.Type)
		}
	}
	if o.parent == nil && o.typed != nil {
		if _, ok := o.typed.FieldByName("AccountID"); ok {
			o.parent = objects[0]
		}
	}
	return nil
}

// checkPlace returns an error if the object is not drawn inside exactly what it belongs to.
func (o *object) checkPlace(objects []*object) error {
	if (o.typed == nil) != (o.parent == nil) {
		return fmt.Errorf("it is not known what %s belongs to", o.name)
	}
	for _, other := range objects {
		if o != other && o.place.isInside(other.place) != other.isAbove(o) {
			return fmt.Errorf("%s is drawn at the wrong place for %s", o.name, other.name)
		}
	}
	return nil
}

func (r rect) isInside(other rect) bool {
	return r.x >= other.x && r.y >= other.y &&
		r.right() <= other.right() && r.bottom() <= other.bottom()
}

// isAbove reports whether other belongs to o, or to an object that does.
func (o *object) isAbove(other *object) bool {
	for other != nil && other != o {
		other = other.parent
	}
	return other == o
}

func isContainer(o *object, objects []*object) bool {
	return slices.ContainsFunc(objects, func(other *object) bool { return other.parent == o })
}

// source returns where the client has the object from.
func (o *object) source() string {
	if o.path != "" {
		return o.from
	}
	_, field, _ := strings.Cut(o.from, ".")
	return field
}

// referencesOf returns the names of the fields by which an object refers to another one that it
// does not belong to. The keys have the form "route > tunnel".
func referencesOf(objects []*object) map[string]string {
	references := map[string]string{}
	for _, from := range objects {
		if from.typed == nil || from.typed.Kind() != reflect.Struct {
			continue
		}
		for _, to := range objects {
			if to.typed == nil || to.isAbove(from) {
				continue
			}
			if fields := referring(from.typed, to.typed); len(fields) > 0 {
				references[from.name+" > "+to.name] = strings.Join(fields, ", ")
			}
		}
	}
	// These two have no ID.
	fields := shared(
		reflect.TypeFor[cftunnel.PublishedHostname](), reflect.TypeFor[cftunnel.IngressRule]())
	references["hostname > ingress rule"] = strings.Join(fields, ", ")
	target := cftunnel.TunnelHostname("")
	references["DNS record > tunnel"] = "Content: <tunnel ID>\n" + target
	return references
}

// referring returns the fields of a type that have the ID of an object of another type.
func referring(from, to reflect.Type) (fields []string) {
	for field := range from.Fields() {
		named, ok := strings.CutSuffix(field.Name, "ID")
		if ok && named != "" && strings.HasSuffix(to.Name(), named) {
			fields = append(fields, field.Name)
		}
	}
	return fields
}

// shared returns the fields that two types have.
func shared(a, b reflect.Type) (fields []string) {
	for field := range a.Fields() {
		if other, ok := b.FieldByName(field.Name); ok && other.Type == field.Type {
			fields = append(fields, field.Name)
		}
	}
	return fields
}
