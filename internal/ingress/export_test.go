package ingress

var CoversHost = coversHost

// CoversPath compares paths with all steps of a Place.
func CoversPath(outer []string, inner string) bool { return newBudget().coversPath(outer, inner) }
