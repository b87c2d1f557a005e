using System.Text.Json;
using IotHub.Core;
using IotHub.Core.Domain;
using IotHub.Functions.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;

namespace IotHub.Functions.Api;

/// <summary>A request to the management API whose caller is known.</summary>
internal sealed class ApiRequest
{
    /// <summary>Far above any sensible request; keeps what is stored below the limit of one row.</summary>
    public const int MaximumBodyBytes = 256 * 1024;

    private readonly HttpContext _http;

    public ApiRequest(HttpContext http, ApiKey caller, string region)
    {
        _http = http;
        Caller = caller;
        Checks = new Checks(region);
        Query = new ApiQuery(http.Request.Query, Checks);
    }

    public ApiKey Caller { get; }
    public Checks Checks { get; }
    public ApiQuery Query { get; }
    public CancellationToken Cancel => _http.RequestAborted;

    /// <summary>Tells requests apart that are no repeats of each other; known when the body was read.</summary>
    public string Fingerprint { get; private set; } = "";

    /// <summary>Null when it was not sent.</summary>
    public string? Header(string name) => _http.Request.Headers.TryGetValue(name, out var values) ? values.ToString() : null;

    /// <summary>Names this request in the answer and in the log.</summary>
    public string RequestId => _http.Response.Headers["X-Request-Id"].ToString();

    /// <summary>The body while it comes in.</summary>
    public Stream BodyStream => _http.Request.Body;

    /// <summary>
    /// Says that the answer begins before the request ends. A client that sends all of it before it reads is no slow client until then.
    /// </summary>
    public void AnswerWhileReading() => AnswerAtLeast(null);

    /// <summary>Says that the request is read: from here on a client that does not take its answer is cut off.</summary>
    public void AnswerSwiftly() => AnswerAtLeast(new MinDataRate(bytesPerSecond: 240, gracePeriod: TimeSpan.FromSeconds(5)));

    private void AnswerAtLeast(MinDataRate? rate)
    {
        // Not there where the host has packed the request: then the answer is kept whole anyway.
        if (_http.Features.Get<IHttpMinResponseDataRateFeature>() is { } feature)
        {
            feature.MinDataRate = rate;
        }
    }

    /// <summary>An id of the path; wrong ones never come so far.</summary>
    public Guid Id(string name) => Guid.ParseExact((string)_http.Request.RouteValues[name]!, "D");

    /// <summary>A text of the path.</summary>
    public string Text(string name) => (string)_http.Request.RouteValues[name]!;

    /// <summary>The body as it came, without a byte order mark; empty when there is nothing in it.</summary>
    public async Task<Outcome<ReadOnlyMemory<byte>>> Bytes(int maximum)
    {
        if (await BoundedBody.Read(_http.Request, maximum, Cancel) is not { } body)
        {
            return new Problem.InvalidArguments("body", "constraint", $"must have at most {maximum} bytes");
        }
        return IsBlank(body.Span) ? ReadOnlyMemory<byte>.Empty : body[^WithoutMark(body.Span).Length..];
    }

    /// <summary>The body, whatever content type is claimed. Nothing at all counts as an empty object.</summary>
    public async Task<Outcome<T>> Body<T>()
        where T : new()
    {
        if (_http.GetEndpoint()?.Metadata.GetMetadata<ApiOperation>()?.Body != typeof(T))
        {
            throw new InvalidOperationException($"the route does not say that it takes a {typeof(T).Name}, so its description is wrong");
        }
        if (await BoundedBody.Read(_http.Request, MaximumBodyBytes, Cancel) is not { } body)
        {
            return new Problem.InvalidArguments("body", "constraint", $"must have at most {MaximumBodyBytes} bytes");
        }
        Fingerprint = IdempotentCreates.FingerprintOf(_http.Request.Method, _http.Request.Path, body.Span);
        try
        {
            return IsBlank(body.Span) ? new T() : ApiJson.Read<T>(WithoutMark(body.Span)) ?? new T();
        }
        catch (JsonException e)
        {
            return ProblemOf(e);
        }
    }

    /// <summary>Names what in a body is wrong.</summary>
    public static Problem.InvalidArguments ProblemOf(JsonException e)
    {
        var path = e.Path is { Length: > 2 } inside && inside.StartsWith("$.", StringComparison.Ordinal) ? inside[2..] : "body";
        return new Problem.InvalidArguments(
            path,
            "format",
            path == "body"
                ? "must be a JSON object, at most 64 levels deep, that has no member twice"
                : "has the wrong type or an unknown value, or stands there twice");
    }

    private static bool IsBlank(ReadOnlySpan<byte> body) => body.TrimStart(" \t\r\n"u8).IsEmpty;

    private static ReadOnlySpan<byte> WithoutMark(ReadOnlySpan<byte> body) =>
        body.StartsWith("\uFEFF"u8) ? body["\uFEFF"u8.Length..] : body;
}
