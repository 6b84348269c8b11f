package cftunnel

import "reflect"

// HoldsSecret is holdsSecret.
func HoldsSecret(t reflect.Type) bool { return holdsSecret(t) }

// RotatedToken is the method of the same name.
func (c TunnelCredentials) RotatedToken(seen Secret) Secret { return c.rotatedToken(seen) }
