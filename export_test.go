package cftunnel

// Models returns pointers to zero values of the types that results are decoded into.
func Models() []any {
	return []any{
		new(*tunnelResponse), new([]tunnelResponse), new(*connectorResponse),
		new([]connectorResponse), new(*string), new(*configurationResponse), new(*warpResponse),
		new(*verificationResponse),
	}
}
