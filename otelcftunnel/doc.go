// Package otelcftunnel adds OpenTelemetry to clients of package cftunnel. Each attempt of a call is
// a span, and calls, retries and waits are metrics.
//
//	telemetry, err := otelcftunnel.Options()
//	client, err := cftunnel.NewClient(append(telemetry, cftunnel.WithEnvironment())...)
//
// It uses the global providers of OpenTelemetry, unless [WithTracerProvider] and
// [WithMeterProvider] set others. Names and units follow version 1.43.0 of the semantic conventions
// of OpenTelemetry; a name that is not in these conventions begins with "cftunnel.".
//
// # Spans
//
// The span of an attempt is a child of the span in the context of the call. Its kind is client, and
// it ends when the response is read. Its name is the method and the url.template, such as "GET
// /accounts/{account_id}/cfd_tunnel/{tunnel_id}". Its attributes:
//
//   - http.request.method: the method, such as "GET".
//   - http.request.resend_count: the number of earlier attempts of the call. The first attempt does
//     not have it.
//   - http.response.status_code: the status, if there was a response.
//   - error.type: the status if that is 400 or above, "timeout", "canceled", or the Go type of the
//     error. A successful attempt does not have it.
//   - network.protocol.version: the version of HTTP, such as "1.1" or "2".
//   - server.address, server.port: the host of the API.
//   - url.full: the URL without its query. Each ID in the path is replaced by {id}.
//   - url.template: the path template of [cftunnel.Operation]. For a call of [cftunnel.Client.Do],
//     see Secrets and IDs below.
//
// The status of the span is Error if it has an error.type. A response that reports a failure with
// status 200, or whose JSON cannot be read, fails the call but not the span.
//
// If net/http itself sends a request again because an idle connection was dead, both attempts have
// one span, with the resend count of the second.
//
// # Metrics
//
//   - http.client.request.duration: a histogram of the duration of the spans, in seconds. It has
//     the attributes of spans except http.request.resend_count and url.full.
//   - cftunnel.calls: a counter of calls that were sent. Each is counted after its first attempt.
//   - cftunnel.retries: a counter of attempts after the first of a call.
//   - cftunnel.wait.duration: a histogram of waits of a millisecond or more, in seconds. Its
//     attribute cftunnel.wait.reason is "pace" for the rate limit, "hold" for a 429 response that
//     delays every call, and "retry" for the pause before a retry: see [cftunnel.WaitReason].
//
// The last three also have the attributes http.request.method and url.template.
//
// A call that fails without an attempt, such as one that fails at once because of an earlier 429
// response, has no span and is not in cftunnel.calls. No metric has the results of calls: count the
// errors that methods return.
//
// # Secrets and IDs
//
// Spans and metrics have no headers, no bodies, no queries and no error texts. The text of a
// [cftunnel.Error] is redacted: to see it in a trace, record it in the span of the caller.
//
// A call of [cftunnel.Client.Do] has no path template, unless [cftunnel.AsOperation] sets one.
// Without one, its url.template is the path, with {id} in place of each segment that can be an ID.
// A segment can be an ID if at least one of these is true: it is longer than 31 characters; it has
// a character that is not a lower-case letter, a digit, "-" or "_"; it does not begin with a
// letter. A name of an object is usually not replaced: if a path has such names, set its template
// with AsOperation. A template without a {variable} is treated like a path.
//
// The requests have no trace headers, so Cloudflare does not get the IDs of traces.
//
// # Cost
//
// With an SDK, a call takes about 15 µs longer and makes 38 more allocations. Without one, it takes
// about 10 µs longer and makes 32 more. BenchmarkGet measures this.
package otelcftunnel
