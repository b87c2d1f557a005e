using IotHub.Harness;
using Xunit;

namespace IotHub.EndToEnd.Support;

/// <summary>One running system for all tests of the collection; each makes hubs of its own in it.</summary>
public class HubFixture : IAsyncLifetime
{
    public LocalHub Local { get; private set; } = null!;
    public ManagementApi Api { get; private set; } = null!;
    public LocalEndpoints Endpoints => Local.Endpoints;

    /// <summary>The authority that signed the broker's server certificate, as the launcher made it.</summary>
    public string ServerCaPem() => File.ReadAllText(Endpoints.ServerCa);

    public async Task InitializeAsync()
    {
        Local = await StartHub();
        Api = new ManagementApi(Local.Endpoints);
    }

    public async Task DisposeAsync()
    {
        Api?.Dispose();
        if (Local is not null)
        {
            await Local.DisposeAsync();
        }
    }

    protected virtual Task<LocalHub> StartHub() => LocalHub.Start();
}

/// <summary>A running system whose broker the tests stop and start.</summary>
public sealed class OwnBrokerFixture : HubFixture
{
    protected override Task<LocalHub> StartHub() => LocalHub.StartWithOwnBroker();
}

[CollectionDefinition(Name)]
public sealed class HubCollection : ICollectionFixture<HubFixture>
{
    public const string Name = "a running hub";
}
