package tunneltest

// Operations returns every operation of the fake.
func Operations() []string {
	var operations []string
	for i := range routes {
		operations = append(operations, routes[i].operation())
	}
	return operations
}
