using System.Net;
using System.Security.Cryptography.X509Certificates;

namespace IotHub.Broker.Transport;

/// <summary>
/// Serves one client over a stream: TLS and WebSocket. Waits with a zero-byte read, so that an idle client holds no buffer.
/// </summary>
public static class StreamTransport
{
    private const int ReceiveBufferSize = 16 * 1024;

    /// <summary>Runs until the client is gone. Does not throw for what a client or the network does.</summary>
    public static async Task Serve(
        MqttBroker broker, Stream stream, bool isEncrypted, IPEndPoint? remoteAddress, X509Certificate2? clientCertificate,
        IReadOnlyList<X509Certificate2>? clientChain = null)
    {
        var channel = new StreamChannel(stream, remoteAddress, clientCertificate, clientChain ?? []) { IsEncrypted = isEncrypted };
        var connection = broker.Accept(channel);
        if (connection is null)
        {
            channel.Close();
            return;
        }
        try
        {
            while (true)
            {
                await stream.ReadAsync(Memory<byte>.Empty).ConfigureAwait(false);
                var buffer = broker.Buffers.Rent(ReceiveBufferSize);
                try
                {
                    var read = await stream.ReadAsync(buffer.AsMemory(0, ReceiveBufferSize)).ConfigureAwait(false);
                    if (read == 0 || !await connection.Receive(buffer.AsMemory(0, read)).ConfigureAwait(false))
                    {
                        break;
                    }
                }
                finally
                {
                    broker.Buffers.Return(buffer);
                }
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException or OperationCanceledException)
        {
            // The peer is gone, or we closed the stream under the read: both end the connection below.
        }
        finally
        {
            broker.Disconnected(connection);
            channel.Close();
        }
    }

    private sealed class StreamChannel(
        Stream stream, IPEndPoint? remoteAddress, X509Certificate2? clientCertificate, IReadOnlyList<X509Certificate2> clientChain) : Channel
    {
        private int _closed;
        private volatile bool _isWriting;

        public override bool HasUnsent => _isWriting || base.HasUnsent;

        public override IPEndPoint? RemoteAddress => remoteAddress;
        public override X509Certificate2? ClientCertificate => clientCertificate;
        public override IReadOnlyList<X509Certificate2> ClientChain => clientChain;

        public override bool Send(byte[] buffer, int count, Action done)
        {
            try
            {
                var write = Write(buffer, count);
                if (write.IsCompleted)
                {
                    return true;
                }
                write.GetAwaiter().OnCompleted(done);
                return false;
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException)
            {
                return true;
            }
        }

        private async Task Write(byte[] buffer, int count)
        {
            try
            {
                var write = stream.WriteAsync(buffer.AsMemory(0, count));
                _isWriting = !write.IsCompleted;
                await write.ConfigureAwait(false);
                await stream.FlushAsync().ConfigureAwait(false);
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException or OperationCanceledException)
            {
                Broke();
                Close();
            }
            _isWriting = false;
        }

        public override void FinishSending() => Close();

        public override void Close()
        {
            if (Interlocked.Exchange(ref _closed, 1) == 0)
            {
                stream.Dispose();
            }
        }
    }
}
