using System.Net.WebSockets;

namespace IotHub.Broker.Transport;

/// <summary>The bytes of a WebSocket's binary frames as one stream. A text frame ends it. [MQTT-6.0.0-1] [MQTT-6.0.0-2]</summary>
/// <remarks>A read into an empty buffer waits for data and holds nothing meanwhile, as on a socket.</remarks>
internal sealed class WebSocketBytes(WebSocket socket) : Stream
{
    /// <summary>What a peer may take to answer our close.</summary>
    private static readonly TimeSpan CloseTime = TimeSpan.FromSeconds(2);

    private readonly CancellationTokenSource _life = new();
    private int _closed;
    private bool _ended;

    public override bool CanRead => true;
    public override bool CanWrite => true;
    public override bool CanSeek => false;
    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        try
        {
            while (!_ended)
            {
                var received = await socket.ReceiveAsync(buffer, _life.Token).ConfigureAwait(false);
                switch (received.MessageType)
                {
                    case WebSocketMessageType.Binary when received.Count > 0 || buffer.IsEmpty:
                        return received.Count;
                    case WebSocketMessageType.Binary:
                        // An empty frame.
                        continue;
                    case WebSocketMessageType.Text:
                        _ended = true;
                        await Close(WebSocketCloseStatus.InvalidMessageType).ConfigureAwait(false);
                        break;
                    default:
                        _ended = true;
                        await Close(WebSocketCloseStatus.NormalClosure).ConfigureAwait(false);
                        break;
                }
            }
            return 0;
        }
        catch (WebSocketException e)
        {
            throw new IOException("the WebSocket is broken", e);
        }
    }

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        try
        {
            await socket.SendAsync(buffer, WebSocketMessageType.Binary, endOfMessage: true, _life.Token).ConfigureAwait(false);
        }
        catch (WebSocketException e)
        {
            throw new IOException("the WebSocket is broken", e);
        }
    }

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override void Flush()
    {
        // Every write is a frame that is sent at once.
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    // Called by the broker when it is done with a client, maybe from another thread than the one that reads: says good-bye, and leaves the
    // peer a moment to answer before the reader is torn off.
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _ = Close(WebSocketCloseStatus.NormalClosure);
        }
        base.Dispose(disposing);
    }

    private async Task Close(WebSocketCloseStatus status)
    {
        if (Interlocked.Exchange(ref _closed, 1) != 0)
        {
            return;
        }
        _life.CancelAfter(CloseTime);
        try
        {
            await socket.CloseOutputAsync(status, null, _life.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (
            e is WebSocketException or OperationCanceledException or ObjectDisposedException or InvalidOperationException)
        {
            socket.Abort();
        }
    }
}
