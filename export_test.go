package cftunnel

// Models are pointers to a zero value of everything that an answer's result is decoded into.
func Models() []any {
	return []any{
		new(*tunnelAnswer), new([]tunnelAnswer), new(*Connector), new([]Connector), new(*tokenAnswer), new(*configurationAnswer),
		new(*warpAnswer), new(*tokenVerificationAnswer),
	}
}
