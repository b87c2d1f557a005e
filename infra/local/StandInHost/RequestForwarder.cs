using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Primitives;

namespace IotHub.Local.StandInHost;

/// <summary>
/// Hands a request on to the handler and its answer back, as the host's proxying mode does: both bodies are streamed, the path is
/// re-encoded, the query untouched, <c>X-Forwarded-*</c> replaced, hop-by-hop headers dropped.
/// </summary>
public sealed class RequestForwarder : IDisposable
{
    private const int BufferBytes = 65_536;
    private const int AttemptsMax = 10;
    private static readonly int[] RetryPausesMilliseconds = [50, 100, 200, 250];
    private static readonly TimeSpan IdleMax = TimeSpan.FromSeconds(240);

    private static readonly HashSet<string> HopByHop = new(StringComparer.OrdinalIgnoreCase)
    {
        "Connection", "Transfer-Encoding", "Keep-Alive", "Upgrade", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authentication-Info",
        "Proxy-Authorization", "Proxy-Features", "Proxy-Instruction", "Security-Scheme", "ALPN", "Close", "HTTP2-Settings",
        "Upgrade-Insecure-Requests", "TE", "Alt-Svc", "Trailer",
    };

    private static readonly HashSet<string> Replaced = new(StringComparer.OrdinalIgnoreCase)
    {
        "Host", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix",
        HostHeaders.HostVersion, HostHeaders.InvocationId, HostHeaders.ProxiedInvocationId,
    };

    private readonly HttpMessageInvoker _http = new(new SocketsHttpHandler
    {
        UseProxy = false,
        UseCookies = false,
        AllowAutoRedirect = false,
        AutomaticDecompression = DecompressionMethods.None,
        ActivityHeadersPropagator = null,
        EnableMultipleHttp2Connections = false,
        RequestHeaderEncodingSelector = static (_, _) => Encoding.Latin1,
        ResponseHeaderEncodingSelector = static (_, _) => Encoding.Latin1,
    });

    /// <exception cref="HttpRequestException">The handler did not answer; nothing was sent to the caller yet.</exception>
    public async Task Forward(HttpContext context, Uri handler, Guid invocationId, TimeProvider time, CancellationToken cancel)
    {
        using var idle = new CancellationTokenSource(IdleMax, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancel, idle.Token);
        void Active() => idle.CancelAfter(IdleMax);

        using var response = await Send(context, handler, invocationId, time, Active, either.Token);
        context.Response.StatusCode = (int)response.StatusCode;
        if (context.Features.Get<IHttpResponseFeature>() is { } feature)
        {
            feature.ReasonPhrase = response.ReasonPhrase;
        }
        foreach (var (name, values) in response.Headers.NonValidated.Concat(response.Content.Headers.NonValidated))
        {
            if (!HopByHop.Contains(name))
            {
                context.Response.Headers.Append(name, new StringValues([.. values]));
            }
        }
        await using var body = await response.Content.ReadAsStreamAsync(either.Token);
        await Copy(body, context.Response.Body, Active, either.Token);
    }

    public void Dispose() => _http.Dispose();

    /// <summary>The path as the handler gets it: every byte that needs it is escaped again; an escaped slash was never unescaped.</summary>
    public static string EncodePath(string path)
    {
        const string AllowedMarks = "-._~!$&'()*+,;=:@/";
        var encoded = new StringBuilder(path.Length);
        foreach (var b in Encoding.UTF8.GetBytes(path))
        {
            var c = (char)b;
            if (char.IsAsciiLetterOrDigit(c) || AllowedMarks.Contains(c, StringComparison.Ordinal))
            {
                encoded.Append(c);
            }
            else
            {
                encoded.Append(CultureInfo.InvariantCulture, $"%{b:X2}");
            }
        }
        return encoded.Replace("%252F", "%2F").Replace("%252f", "%2f").ToString();
    }

    private async Task<HttpResponseMessage> Send(
        HttpContext context, Uri handler, Guid invocationId, TimeProvider time, Action active, CancellationToken cancel)
    {
        for (var attempt = 1; ; attempt++)
        {
            using var request = Request(context, handler, invocationId, active);
            try
            {
                return await _http.SendAsync(request, cancel);
            }
            catch (HttpRequestException e) when (attempt < AttemptsMax && e.InnerException is SocketException)
            {
                // The connection was never made, so nothing of the body was read.
                var pause = RetryPausesMilliseconds[Math.Min(attempt, RetryPausesMilliseconds.Length) - 1];
                await Task.Delay(TimeSpan.FromMilliseconds(pause), time, cancel);
            }
        }
    }

    private static HttpRequestMessage Request(HttpContext context, Uri handler, Guid invocationId, Action active)
    {
        var incoming = context.Request;
        var target = $"{handler.GetLeftPart(UriPartial.Authority)}{EncodePath(incoming.Path.Value ?? "/")}{incoming.QueryString}";
        var asItIs = new UriCreationOptions { DangerousDisablePathAndQueryCanonicalization = true };
        var request = new HttpRequestMessage(new HttpMethod(incoming.Method), new Uri(target, asItIs))
        {
            Version = HttpVersion.Version11,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };
        if (context.Features.Get<IHttpRequestBodyDetectionFeature>()?.CanHaveBody == true || incoming.ContentLength is not null)
        {
            request.Content = new StreamedBody(incoming.Body, incoming.ContentLength, active);
        }
        foreach (var (name, values) in incoming.Headers)
        {
            if (HopByHop.Contains(name) || Replaced.Contains(name))
            {
                continue;
            }
            if (!request.Headers.TryAddWithoutValidation(name, (IEnumerable<string?>)values))
            {
                request.Content?.Headers.TryAddWithoutValidation(name, (IEnumerable<string?>)values);
            }
        }
        Add("X-Forwarded-For", context.Connection.RemoteIpAddress?.ToString());
        Add("X-Forwarded-Host", incoming.Host.ToUriComponent());
        Add("X-Forwarded-Proto", incoming.Scheme);
        Add(HostHeaders.HostVersion, HostHeaders.HostVersionValue);
        Add(HostHeaders.InvocationId, invocationId.ToString());
        Add(HostHeaders.ProxiedInvocationId, invocationId.ToString());
        return request;

        void Add(string name, string? value)
        {
            if (!string.IsNullOrEmpty(value))
            {
                request.Headers.TryAddWithoutValidation(name, value);
            }
        }
    }

    private static async Task Copy(Stream from, Stream to, Action active, CancellationToken cancel)
    {
        var buffer = new byte[BufferBytes];
        int read;
        while ((read = await from.ReadAsync(buffer, cancel)) > 0)
        {
            active();
            await to.WriteAsync(buffer.AsMemory(0, read), cancel);
            await to.FlushAsync(cancel);
        }
    }

    /// <summary>The caller's body, on its way: with its length when it has one, chunked otherwise.</summary>
    private sealed class StreamedBody(Stream body, long? length, Action active) : HttpContent
    {
        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) =>
            SerializeToStreamAsync(stream, context, CancellationToken.None);

        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken) =>
            Copy(body, stream, active, cancellationToken);

        protected override bool TryComputeLength(out long computed)
        {
            computed = length ?? 0;
            return length is not null;
        }
    }
}
