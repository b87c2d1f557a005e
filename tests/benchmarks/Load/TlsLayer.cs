using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Threading.Tasks.Sources;

namespace IotHub.Benchmarks.Load;

/// <summary>
/// TLS between a connection's bytes and its socket: what the loop reads is fed in, what is to be sent comes out, all on the loop's
/// thread. It is itself the stream below <see cref="SslStream"/>, whose one read waits here until the loop has bytes.
/// </summary>
internal sealed class TlsLayer : Stream, IValueTaskSource<int>
{
    private readonly SslStream _tls;
    private readonly ByteQueue _incoming = new();
    private readonly ByteQueue _outgoing;
    private ManualResetValueTaskSourceCore<int> _waiting;
    private Memory<byte>? _waitingBuffer;

    public TlsLayer(ByteQueue outgoing)
    {
        _outgoing = outgoing;
        _tls = new SslStream(this, leaveInnerStreamOpen: true);
    }

    public static X509Certificate2 MakeClientCertificate()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=load", key, HashAlgorithmName.SHA256);
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
    }

    /// <summary>Shakes hands, then hands plain bytes over until the end of the stream or an error, which is the result.</summary>
    public async Task<Exception?> Run(SslStreamCertificateContext? clientCertificate, Action isSecure, Action<ReadOnlySpan<byte>> receive)
    {
        try
        {
            await _tls.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
            {
                TargetHost = "localhost",
                ClientCertificateContext = clientCertificate,
#pragma warning disable CA5359 // The broker under load has a throw-away certificate.
                RemoteCertificateValidationCallback = (_, _, _, _) => true,
#pragma warning restore CA5359
            }).ConfigureAwait(false);
            isSecure();
            var buffer = new byte[4096];
            int read;
            while ((read = await _tls.ReadAsync(buffer).ConfigureAwait(false)) > 0)
            {
                receive(buffer.AsSpan(0, read));
            }
            return null;
        }
        catch (Exception e) when (e is IOException or System.Security.Authentication.AuthenticationException or InvalidOperationException)
        {
            return e;
        }
    }

    public void Feed(ReadOnlySpan<byte> data)
    {
        _incoming.Append(data);
        if (_waitingBuffer is { } buffer)
        {
            _waitingBuffer = null;
            _waiting.SetResult(Hand(buffer.Span));
        }
    }

    /// <summary>Encrypts; what comes out lies in the outgoing queue.</summary>
    public void Encrypt(ReadOnlySpan<byte> plain) => _tls.Write(plain);

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_incoming.Length > 0 || buffer.IsEmpty)
        {
            return new ValueTask<int>(Hand(buffer.Span));
        }
        _waiting.Reset();
        _waitingBuffer = buffer;
        return new ValueTask<int>(this, _waiting.Version);
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        _outgoing.Append(buffer.Span);
        return ValueTask.CompletedTask;
    }

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override void Write(byte[] buffer, int offset, int count) => _outgoing.Append(buffer.AsSpan(offset, count));

    public override void Write(ReadOnlySpan<byte> buffer) => _outgoing.Append(buffer);

    public override void Flush()
    {
        // What was written is in the outgoing queue already.
    }

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override bool CanRead => true;
    public override bool CanWrite => true;
    public override bool CanSeek => false;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    int IValueTaskSource<int>.GetResult(short token) => _waiting.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<int>.GetStatus(short token) => _waiting.GetStatus(token);

    void IValueTaskSource<int>.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _waiting.OnCompleted(continuation, state, token, flags);

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _tls.Dispose();
        }
        base.Dispose(disposing);
    }

    private int Hand(Span<byte> buffer)
    {
        var count = Math.Min(buffer.Length, _incoming.Length);
        _incoming.Span[..count].CopyTo(buffer);
        _incoming.Consume(count);
        return count;
    }
}
