package cftunnel

// Models are pointers to a zero value of everything that a result is decoded into.
func Models() []any {
	return []any{
		new(*tunnelResponse), new([]tunnelResponse), new(*connectorResponse), new([]connectorResponse), new(*string),
		new(*configurationResponse), new(*warpResponse), new(*verificationResponse),
	}
}
