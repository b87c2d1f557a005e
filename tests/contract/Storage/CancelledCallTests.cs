using System.Net;
using System.Net.Sockets;
using IotHub.Core.Queues.Azure;
using IotHub.Core.Storage;
using IotHub.Core.Storage.Blobs;
using IotHub.Core.Storage.Tables;
using Xunit;

namespace IotHub.Contract.Storage;

/// <summary>
/// A call to storage that is cancelled in its second try ends as cancelled. The Azure client gathers both tries in an AggregateException,
/// which was taken for a failure: a broker that stopped while storage was away threw, with its log still open.
/// </summary>
public sealed class CancelledCallTests : IDisposable
{
    private static readonly string _key = Convert.ToBase64String(new byte[64]);
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _cancel = new();

    public CancelledCallTests() => _listener.Start();

    private StorageAccount Account
    {
        get
        {
            var port = ((IPEndPoint)_listener.LocalEndpoint).Port;
            var endpoints = new[] { "Blob", "Queue", "Table" }.Select(s => $"{s}Endpoint=http://127.0.0.1:{port}/account");
            return StorageAccount.At($"AccountName=account;AccountKey={_key};{string.Join(';', endpoints)}");
        }
    }

    [Fact]
    public Task Of_a_queue() => IsCancelled(() => new AzureQueue(Account.Queues(), "ingress").Receive(1, TimeSpan.FromMinutes(1), _cancel.Token));

    [Fact]
    public Task Of_payloads() => IsCancelled(() => new AzurePayloads(Account.Blobs(), "payloads").Get("a", 1, _cancel.Token));

    [Fact]
    public Task Of_a_table() => IsCancelled(() => new TableChangeFeed(Account.Tables(), TimeProvider.System).ReadSince(
        DateTimeOffset.UtcNow, _cancel.Token));

    [Fact]
    public Task Of_an_object_store() => IsCancelled(() => new BlobObjectStore(Account.Blobs()).Find("bucket", "key", _cancel.Token));

    public void Dispose()
    {
        _listener.Dispose();
        _cancel.Dispose();
    }

    private async Task IsCancelled(Func<Task> call)
    {
        var called = call();
        (await _listener.AcceptSocketAsync()).Close(0);
        using var second = await _listener.AcceptSocketAsync();
        await _cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => called);
    }
}
