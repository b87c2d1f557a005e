using IotHub.Core.Messages;
using IotHub.Core.Queues;
using IotHub.Core.Queues.Azure;
using IotHub.Core.Queues.Memory;
using IotHub.Core.Storage;
using IotHub.Core.Storage.Blobs;
using IotHub.Core.Storage.Memory;
using IotHub.Core.Storage.Tables;
using IotHub.Functions.Events;
using IotHub.Functions.Hosting;
using IotHub.Functions.Networks;
using IotHub.Functions.Outgoing;
using IotHub.Functions.Routes.Delivery;
using IotHub.Functions.Routes.Delivery.Sinks;
using IotHub.Functions.Twins;

namespace IotHub.Functions;

/// <summary>What the app is made of. The only place that names drivers.</summary>
public static class Composition
{
    /// <summary>Queues that functions put something on.</summary>
    private static readonly string[] QueuesWrittenTo =
        [StorageNames.DeliveriesQueue, StorageNames.IngressQueue, StorageNames.TwinPushesQueue];

    private static readonly string[] PayloadContainers = [StorageNames.PayloadsContainer, StorageNames.DeadLettersContainer];

    /// <summary>The storage account of the settings.</summary>
    public static void AddAzureStorage(this IServiceCollection services, StorageAccount account)
    {
        var (tables, blobs, queues) = (account.Tables(), account.Blobs(), account.Queues());
        services.AddSingleton(account);
        services.AddSingleton<StorageSetup>();
        services.AddSingleton<IStorageState>(provider => provider.GetRequiredService<StorageSetup>());
        services.AddHostedService(provider => provider.GetRequiredService<StorageSetup>());
        services.AddSingleton<IRegistry>(provider => new TableRegistry(
            tables, provider.GetRequiredService<IChangeFeed>(), provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton<IChangeFeed>(provider => new TableChangeFeed(tables, provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton<IApiKeys>(new TableApiKeys(tables));
        services.AddSingleton<ICreations>(new TableCreations(tables));
        services.AddSingleton<ITwins>(new TableTwins(tables));
        services.AddSingleton<IMetrics>(new TableMetrics(tables));
        services.AddSingleton<IEventLog>(new TableEventLog(tables));
        services.AddSingleton<IFailureEpisodes>(new TableFailureEpisodes(tables));
        services.AddSingleton<IObjectStore>(new BlobObjectStore(blobs));
        foreach (var container in PayloadContainers)
        {
            services.AddKeyedSingleton<IPayloads>(container, new AzurePayloads(blobs, container));
        }
        foreach (var queue in QueuesWrittenTo)
        {
            services.AddKeyedSingleton<IMessageQueue>(queue, new AzureQueue(queues, queue));
        }
    }

    /// <summary>Everything in this process, gone when it ends.</summary>
    public static void AddMemoryStorage(this IServiceCollection services)
    {
        services.AddSingleton<IStorageState, StorageAlwaysReady>();
        services.AddSingleton<IRegistry, MemoryRegistry>();
        services.AddSingleton<IChangeFeed, MemoryChangeFeed>();
        services.AddSingleton<IApiKeys, MemoryApiKeys>();
        services.AddSingleton<ICreations, MemoryCreations>();
        services.AddSingleton<ITwins, MemoryTwins>();
        services.AddSingleton<IMetrics, MemoryMetrics>();
        services.AddSingleton<IEventLog, MemoryEventLog>();
        services.AddSingleton<IFailureEpisodes, MemoryFailureEpisodes>();
        services.AddSingleton<IObjectStore, MemoryObjectStore>();
        foreach (var container in PayloadContainers)
        {
            services.AddKeyedSingleton<IPayloads>(
                container, (provider, _) => new MemoryPayloads(provider.GetRequiredService<TimeProvider>()));
        }
        foreach (var queue in QueuesWrittenTo)
        {
            services.AddKeyedSingleton<IMessageQueue>(queue, (provider, _) => new MemoryQueue(provider.GetRequiredService<TimeProvider>()));
        }
    }

    public static void AddIngest(this IServiceCollection services)
    {
        services.AddSingleton(provider =>
        {
            var settings = provider.GetRequiredService<FunctionsSettings>();
            return new BrokerClient(settings.BrokerUrl, settings.BrokerKey);
        });
        services.AddSingleton(provider =>
            new MessageIntake(provider.GetRequiredService<BrokerClient>(), Envelopes(provider, StorageNames.IngressQueue)));
        services.AddSingleton<Ingest>();
    }

    public static void AddOutgoing(this IServiceCollection services)
    {
        services.AddSingleton(provider => new AddressPolicy(provider.GetRequiredService<FunctionsSettings>().RouteAllowedNetworks));
        services.AddSingleton(provider => new GuardedConnector(provider.GetRequiredService<AddressPolicy>()));
    }

    public static void AddTwins(this IServiceCollection services)
    {
        services.AddSingleton(provider => new TwinEditing(
            provider.GetRequiredService<ITwins>(),
            provider.GetRequiredService<IRegistry>(),
            provider.GetRequiredKeyedService<IMessageQueue>(StorageNames.TwinPushesQueue),
            provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton<TwinFunctions>();
        services.AddSingleton(provider => ActivatorUtilities.CreateInstance<PushFunction>(
            provider, provider.GetRequiredKeyedService<IMessageQueue>(StorageNames.TwinPushesQueue)));
    }

    public static void AddDelivery(this IServiceCollection services)
    {
        services.AddSingleton<RestSink>();
        services.AddSingleton<ObjectStoreSink>();
        services.AddSingleton(provider => new DeliveryPolicy
        {
            GiveUpAfter = provider.GetRequiredService<FunctionsSettings>().RouteGiveUpAfter,
        });
        services.AddSingleton(provider => new DeadLetters(provider.GetRequiredKeyedService<IPayloads>(StorageNames.DeadLettersContainer)));
        services.AddSingleton<RouteEvents>();
        services.AddSingleton(Random.Shared);
        services.AddSingleton(provider => ActivatorUtilities.CreateInstance<DeliverFunction>(
            provider, Envelopes(provider, StorageNames.DeliveriesQueue)));
    }

    public static void AddEvents(this IServiceCollection services)
    {
        services.AddSingleton<RecordEventsFunction>();
        services.AddSingleton<EventFunctions>();
        services.AddSingleton<Belongings>();
        services.AddSingleton(provider => ActivatorUtilities.CreateInstance<TrimFunctions>(
            provider, provider.GetRequiredKeyedService<IPayloads>(StorageNames.PayloadsContainer)));
    }

    private static EnvelopeQueue Envelopes(IServiceProvider provider, string queue) => new(
        provider.GetRequiredKeyedService<IMessageQueue>(queue),
        provider.GetRequiredKeyedService<IPayloads>(StorageNames.PayloadsContainer));
}
