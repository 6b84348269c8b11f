package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// keyValue is an attribute as the exporters print it.
type keyValue struct {
	Key   string
	Value struct{ Value any }
}

// value returns the value of an attribute, or nil.
func value(attributes []keyValue, key string) any {
	for _, a := range attributes {
		if a.Key == key {
			return a.Value.Value
		}
	}
	return nil
}

// line is a line of the output: a span or the metrics.
type line struct {
	Name         string
	Parent       struct{ SpanID string }
	SpanContext  struct{ SpanID string }
	Status       struct{ Code string }
	Attributes   []keyValue
	ScopeMetrics []struct {
		Metrics []struct {
			Name string
			Data struct {
				DataPoints []struct {
					Attributes []keyValue
					Value      int // of a counter
				}
			}
		}
	}
}

// counts returns a metric's values by path template.
func (l line) counts(name string) map[string]int {
	counts := map[string]int{}
	for _, scope := range l.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			for _, point := range m.Data.DataPoints {
				counts[value(point.Attributes, "url.template").(string)] += point.Value
			}
		}
	}
	return counts
}

// variable matches the variables of a path template.
var variable = regexp.MustCompile(`{\w+}`)

// parseLines parses the output of the program.
func parseLines(t *testing.T, output string) []line {
	t.Helper()
	var list []line
	decoder := json.NewDecoder(strings.NewReader(output))
	for {
		var l line
		err := decoder.Decode(&l)
		if errors.Is(err, io.EOF) {
			return list
		}
		require.NoError(t, err)
		list = append(list, l)
	}
}

const (
	tunnels = "/accounts/{account_id}/cfd_tunnel"
	tunnel  = tunnels + "/{tunnel_id}"
)

func TestRun_SpansAndMetrics(t *testing.T) {
	t.Parallel()
	fake := tunneltest.NewServer()
	t.Cleanup(fake.Close)
	var stdout, stderr bytes.Buffer
	require.NoError(t, run(t.Context(), fake, &stdout, &stderr))
	list := parseLines(t, stdout.String())
	require.Greater(t, len(list), 2)
	spans, job, metrics := list[:len(list)-2], list[len(list)-2], list[len(list)-1]

	type attempt struct {
		name   string
		status any
		code   string
	}
	var attempts []attempt
	for _, s := range spans {
		status := value(s.Attributes, "http.response.status_code")
		attempts = append(attempts, attempt{s.Name, status, s.Status.Code})
		_, path, _ := strings.Cut(s.Name, " ")
		assert.Equal(t, path, value(s.Attributes, "url.template"))
		full := fake.URL() + variable.ReplaceAllString(path, "{id}")
		assert.Equal(t, full, value(s.Attributes, "url.full"))
		assert.Equal(t, job.SpanContext.SpanID, s.Parent.SpanID)
	}
	assert.Equal(t, []attempt{
		{"POST " + tunnels, 200., "Unset"},
		{"PUT " + tunnel + "/configurations", 200., "Unset"},
		{"GET " + tunnel, 503., "Error"},
		{"GET " + tunnel, 503., "Error"},
		{"GET " + tunnel, 200., "Unset"},
		{"GET " + tunnel + "/token", 200., "Error"}, // the response breaks off
		{"GET " + tunnel + "/token", 200., "Unset"},
		{"PATCH " + tunnel, 200., "Unset"},
	}, attempts)
	assert.Len(t, fake.Requests(), len(attempts))
	assert.Equal(t, "publish a service", job.Name)

	calls := map[string]int{tunnels: 1, tunnel + "/configurations": 1, tunnel: 2, tunnel + "/token": 1}
	assert.Equal(t, calls, metrics.counts("cftunnel.calls"))
	retries := map[string]int{tunnel: 2, tunnel + "/token": 1}
	assert.Equal(t, retries, metrics.counts("cftunnel.retries"))
	assert.NotEmpty(t, metrics.counts("cftunnel.wait.duration"))
	assert.Len(t, metrics.counts("http.client.request.duration"), 4)

	assert.Equal(t, 3, strings.Count(stderr.String(), "level=WARN"), "%s", &stderr)
	assert.NotContains(t, stderr.String(), "level=DEBUG")
}

func TestRun_PrintsNoSecretsAndIDs(t *testing.T) {
	t.Parallel()
	fake := tunneltest.NewServer()
	t.Cleanup(fake.Close)
	var stdout, stderr bytes.Buffer
	require.NoError(t, run(t.Context(), fake, &stdout, &stderr))

	client, err := fake.NewClient()
	require.NoError(t, err)
	found, err := client.Tunnels.FindByName(t.Context(), "blog")
	require.NoError(t, err)
	token, err := client.Tunnels.Token(t.Context(), found.ID)
	require.NoError(t, err)
	credentials, err := cftunnel.ParseTunnelToken(token)
	require.NoError(t, err)
	secrets := map[string]string{
		"the API token":    fake.APIToken().Reveal(),
		"the tunnel token": token.Reveal(),
		"the secret":       credentials.Secret.Reveal(),
		"any tunnel token": `eyJhIjoi`, // {"a":"
	}
	for name, secret := range secrets {
		assert.NotContains(t, stdout.String(), secret, "%s is printed", name)
		assert.NotContains(t, stderr.String(), secret, "%s is logged", name)
	}
	for name, id := range map[string]string{"account": fake.AccountID(), "tunnel": found.ID} {
		assert.NotContains(t, stdout.String(), id, "the ID of the %s is printed", name)
	}
}

// cancelingBuffer cancels a context at the first write.
type cancelingBuffer struct {
	bytes.Buffer
	cancel context.CancelFunc
}

func (b *cancelingBuffer) Write(p []byte) (int, error) {
	b.cancel()
	return b.Buffer.Write(p)
}

func TestRun_CanceledContextPrintsMetrics(t *testing.T) {
	t.Parallel()
	fake := tunneltest.NewServer()
	t.Cleanup(fake.Close)
	ctx, cancel := context.WithCancel(t.Context())
	stdout := &cancelingBuffer{cancel: cancel}
	require.ErrorIs(t, run(ctx, fake, stdout, io.Discard), context.Canceled)
	list := parseLines(t, stdout.String())
	require.NotEmpty(t, list)
	assert.Equal(t, map[string]int{tunnels: 1}, list[len(list)-1].counts("cftunnel.calls"))
	assert.Len(t, fake.Requests(), 1)
}

func TestStart_CommandLine(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"-help"}, 0, "usage: telemetry"},
		{[]string{"-nonsense"}, 2, "-nonsense"},
		{[]string{"extra"}, 2, "usage: telemetry"},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, test.code, start(t.Context(), test.args, &stdout, &stderr))
		assert.Contains(t, stderr.String(), test.text)
		assert.Empty(t, stdout.String())
	}
	var stdout, stderr bytes.Buffer
	assert.Zero(t, start(t.Context(), nil, &stdout, &stderr))
	assert.Contains(t, stdout.String(), "cftunnel.calls")
}
