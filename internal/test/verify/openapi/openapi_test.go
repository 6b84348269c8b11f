package openapi_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/internal/test/verify/openapi"
)

func TestLoad_AllFiles(t *testing.T) {
	t.Parallel()
	one, err := openapi.Load("tunnels.json")
	require.NoError(t, err)
	all, err := openapi.Load("tunnels.json", "tokens.json", "networks.json")
	require.NoError(t, err)
	operations := slices.Collect(all.Operations)
	assert.Subset(t, operations, slices.Collect(one.Operations))
	assert.Contains(t, operations, "GET /zones")
	assert.Contains(t, operations, "GET /user/tokens")
	assert.NotNil(t, one.Operation("GET /user/tokens/verify"))
	assert.Nil(t, one.Operation("GET /zones"))
	_, err = openapi.Load("none.json")
	require.Error(t, err)
}
