using System.Net;

namespace IotHub.Broker.Transport;

/// <summary>Takes in clients on one TCP port, until it is disposed; those that are there by then stay.</summary>
public interface IClientListener : IAsyncDisposable
{
    IPEndPoint EndPoint { get; }

    void Start();
}
