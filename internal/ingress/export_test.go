package ingress

var (
	CoversHost = coversHost
	CoversPath = coversPath
)
