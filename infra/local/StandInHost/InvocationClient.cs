using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging;

namespace IotHub.Local.StandInHost;

/// <param name="Reason">Why it failed; null on success.</param>
public sealed record InvocationResult(string? Reason)
{
    public bool Succeeded => Reason is null;

    public static InvocationResult Success { get; } = new((string?)null);
}

/// <summary>Posts invocations to the handler and judges the answers as the host does.</summary>
public sealed partial class InvocationClient(
    HandlerProcess handler, TimeSpan? functionTimeout, bool strict, TimeProvider time, ILoggerFactory loggers) : IDisposable
{
    private readonly ILogger _logger = loggers.CreateLogger("Host.Invocations");

    private readonly HttpMessageInvoker _http = new(new SocketsHttpHandler
    {
        UseProxy = false,
        UseCookies = false,
        AllowAutoRedirect = false,
        ActivityHeadersPropagator = null,
    });

    /// <summary>Answers after which a real host would wait for the function's time-out and then kill the handler.</summary>
    public event Action<string>? ContractViolated;

    public async Task<InvocationResult> Invoke(string function, string body, CancellationToken cancel)
    {
        var address = await handler.Ready(cancel);
        var id = Guid.NewGuid();
        var started = time.GetTimestamp();
        using var timeout = functionTimeout is { } limit ? new CancellationTokenSource(limit, time) : new CancellationTokenSource();
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancel, timeout.Token);
        InvocationResult result;
        try
        {
            result = await Post(new Uri(address, function), id, function, body, either.Token);
        }
        catch (OperationCanceledException) when (timeout.IsCancellationRequested && !cancel.IsCancellationRequested)
        {
            var reason = $"{function} took longer than functionTimeout ({functionTimeout:c})";
            handler.Restart(reason);
            result = new InvocationResult(reason);
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            result = new InvocationResult($"no answer from the handler: {e.Message}");
        }

        var milliseconds = time.GetElapsedTime(started).TotalMilliseconds;
        if (result.Succeeded)
        {
            Log.Succeeded(_logger, function, id, milliseconds);
        }
        else
        {
            Log.Failed(_logger, function, id, milliseconds, result.Reason!);
        }
        return result;
    }

    public void Dispose() => _http.Dispose();

    private async Task<InvocationResult> Post(Uri uri, Guid id, string function, string body, CancellationToken cancel)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, uri)
        {
            Version = HttpVersion.Version11,
            Content = new ByteArrayContent(Encoding.UTF8.GetBytes(body)),
        };
        request.Headers.TryAddWithoutValidation(HostHeaders.HostVersion, HostHeaders.HostVersionValue);
        request.Headers.TryAddWithoutValidation(HostHeaders.InvocationId, id.ToString());
        request.Headers.TryAddWithoutValidation("User-Agent", HostHeaders.UserAgent);
        request.Headers.TransferEncodingChunked = true;
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json", "utf-8");

        using var response = await _http.SendAsync(request, cancel);
        if (!response.IsSuccessStatusCode)
        {
            var status = (int)response.StatusCode;
            return new InvocationResult(status is >= 300 and < 400
                ? $"the handler answered {status}; a real host follows redirects, which may turn the POST into a GET: never redirect"
                : $"the handler answered {status}");
        }
        var answer = await response.Content.ReadAsStringAsync(cancel);
        return answer.Trim() is "" or "null"
            ? await Hang(function, (int)response.StatusCode, cancel)
            : Judge(response.Content.Headers.ContentType?.MediaType, answer);
    }

    /// <summary>
    /// The answer on which the real host never completes the invocation. It is told at once; strict mode then really hangs.
    /// </summary>
    private async Task<InvocationResult> Hang(string function, int status, CancellationToken cancel)
    {
        var violation = $"{function} answered {status} with an empty body: the Functions host would wait for functionTimeout and " +
            "kill the process; answer 200, application/json and at least {}";
        Log.ContractViolated(_logger, violation);
        ContractViolated?.Invoke(violation);
        if (strict)
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, time, cancel);
        }
        return new InvocationResult(violation);
    }

    private InvocationResult Judge(string? mediaType, string answer)
    {
        if (mediaType is not ("application/json" or "text/json"))
        {
            return new InvocationResult($"the handler answered with the content type {mediaType ?? "(none)"} instead of application/json");
        }
        try
        {
            using var json = JsonDocument.Parse(answer);
            if (json.RootElement.ValueKind != JsonValueKind.Object)
            {
                return new InvocationResult("the handler's answer is not a JSON object");
            }
            var logs = json.RootElement.EnumerateObject()
                .FirstOrDefault(member => member.Name.Equals("Logs", StringComparison.OrdinalIgnoreCase))
                .Value;
            if (logs.ValueKind is not (JsonValueKind.Undefined or JsonValueKind.Null))
            {
                foreach (var line in logs.EnumerateArray().Select(l => l.GetString() ?? throw new InvalidOperationException()).ToList())
                {
                    Log.Line(_logger, line);
                }
            }
            return InvocationResult.Success;
        }
        catch (JsonException)
        {
            return new InvocationResult("the handler's answer is not JSON");
        }
        catch (InvalidOperationException)
        {
            return new InvocationResult("Logs in the handler's answer is not an array of strings");
        }
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Information, "executed {Function} ({Id}) in {Milliseconds:0.0} ms")]
        public static partial void Succeeded(ILogger logger, string function, Guid id, double milliseconds);

        [LoggerMessage(LogLevel.Error, "{Function} ({Id}) failed after {Milliseconds:0.0} ms: {Reason}")]
        public static partial void Failed(ILogger logger, string function, Guid id, double milliseconds, string reason);

        [LoggerMessage(LogLevel.Error, "contract violation: {Violation}")]
        public static partial void ContractViolated(ILogger logger, string violation);

        [LoggerMessage(LogLevel.Information, "{Line}")]
        public static partial void Line(ILogger logger, string line);
    }
}
