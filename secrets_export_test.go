package cftunnel

import "reflect"

// HoldsSecret exports holdsSecret for tests.
func HoldsSecret(t reflect.Type) bool { return holdsSecret(t) }

// RotatedToken exports rotatedToken for tests.
func (c TunnelCredentials) RotatedToken(seen Secret) Secret { return c.rotatedToken(seen) }
