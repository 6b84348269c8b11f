package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// The commands of docs/publishing.md, which are those of Cloudflare's documentation, run unchanged.
func TestSimulator_Curl(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the commands are for sh, which Windows does not have")
	}
	page, err := os.ReadFile("../../docs/publishing.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	require.Len(t, blocks, 2)
	environment := simulate(t)

	created := shell(t, environment, blocks[0][1]+`printf '%s %s' "$TUNNEL_ID" "$TUNNEL_TOKEN"`)
	responses := strings.Split(created, "}{")
	require.Len(t, responses, 2, created)
	id, token, found := strings.Cut(created[strings.LastIndex(created, "}")+1:], " ")
	require.True(t, found, created)
	assert.Equal(t, 2, strings.Count(created, `"success":true`), created)

	root := strings.TrimSuffix(environment["CLOUDFLARE_BASE_URL"], "/client/v4")
	connectors := root + "/simulator/connectors"
	status, _ := control(t, http.MethodPost, connectors, fmt.Sprintf(`{"token":%q}`, token))
	require.Equal(t, http.StatusOK, status)
	environment["TUNNEL_ID"] = id
	assert.Contains(t, shell(t, environment, blocks[1][1]), `"status":"healthy"`)

	list, err := newClient(t, environment).Hostnames.List(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, "app.example.com", list[0].Hostname)
	assert.Equal(t, cftunnel.DNSStateReady, list[0].DNS)
}

// shell runs commands with these environment variables, and returns their output.
func shell(t *testing.T, environment map[string]string, commands string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "sh", "-eu", "-c", commands)
	command.Env = []string{"PATH=" + os.Getenv("PATH")}
	for name, value := range environment {
		command.Env = append(command.Env, name+"="+value)
	}
	out, err := command.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}
