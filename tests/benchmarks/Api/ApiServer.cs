using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text.Json;
using IotHub.Core.Domain;
using IotHub.Core.Security;
using IotHub.Core.Storage;
using IotHub.Functions;
using IotHub.Harness;
using Microsoft.Extensions.DependencyInjection;

namespace IotHub.Benchmarks.Api;

/// <summary>The function app alone in a process of its own, so that what it uses can be told from what the load uses.</summary>
internal sealed class ApiServer : IAsyncDisposable
{
    public const string Verb = "api-serve";
    private const string Memory = "memory";
    private const string CallsAsked = "calls";
    private readonly ChildProcess _process;
    private readonly CallsTold _calls;

    private ApiServer(ChildProcess process, CallsTold calls, Described described)
    {
        (_process, _calls) = (process, calls);
        Url = new Uri(described.Url + "/iot/v1/regions/fr-par/");
        Secret = described.Secret;
        Organization = described.Organization;
    }

    public int Pid => _process.Pid;
    public Uri Url { get; }
    public string Secret { get; }
    public Guid Organization { get; }

    /// <param name="storage">Connection string; null keeps all in the memory of the process.</param>
    /// <param name="broker">Whom it tells of changes.</param>
    public static async Task<ApiServer> Start(string? storage, Uri broker)
    {
        var told = new TaskCompletionSource<Described>(TaskCreationOptions.RunContinuationsAsynchronously);
        var calls = new CallsTold();
        var program = Environment.ProcessPath!;
        string[] self = Path.GetFileNameWithoutExtension(program) == "dotnet" ? [typeof(ApiServer).Assembly.Location] : [];
        var process = ChildProcess.Start(
            program,
            [.. self, Verb, storage ?? Memory, broker.ToString()],
            // As the function app's own project sets it.
            environment: new Dictionary<string, string?> { ["DOTNET_ThreadPool_UnfairSemaphoreSpinLimit"] = "0" },
            onLine: line =>
            {
                if (line.StartsWith('{'))
                {
                    told.TrySetResult(JsonSerializer.Deserialize<Described>(line)!);
                }
                else if (line.StartsWith(CallsAsked, StringComparison.Ordinal))
                {
                    calls.Next.TrySetResult(long.Parse(line[CallsAsked.Length..], CultureInfo.InvariantCulture));
                }
            },
            keepInputOpen: true);
        try
        {
            return new ApiServer(process, calls, await told.Task.WaitAsync(TimeSpan.FromSeconds(60)));
        }
        catch (TimeoutException)
        {
            await process.DisposeAsync();
            throw new InvalidOperationException($"the function app did not start:\n{process.Output}");
        }
    }

    /// <summary>How many requests it has sent so far, to storage and to the broker.</summary>
    public async Task<long> Calls()
    {
        _calls.Next = new TaskCompletionSource<long>(TaskCreationOptions.RunContinuationsAsynchronously);
        await _process.Send(CallsAsked);
        return await _calls.Next.Task.WaitAsync(TimeSpan.FromSeconds(60));
    }

    public ValueTask DisposeAsync() => _process.DisposeAsync();

    /// <summary>What the process does.</summary>
    public static async Task<int> Run(string[] args)
    {
        var calls = 0L;
        using var sent = new MeterListener
        {
            InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Name == "http.client.request.duration")
                {
                    listener.EnableMeasurementEvents(instrument);
                }
            },
        };
        sent.SetMeasurementEventCallback<double>((_, _, _, _) => Interlocked.Increment(ref calls));
        sent.Start();
        var (inMemory, storage) = (args[0] == Memory, StorageAccount.At(args[0] == Memory ? "UseDevelopmentStorage=true" : args[0]));
        var settings = new FunctionsSettings
        {
            Port = 0,
            Storage = storage,
            BrokerUrl = new Uri(args[1]),
            BrokerKey = "broker key",
            SealingKey = new byte[Sealer.KeyBytes],
        };
        if (!inMemory)
        {
            await storage.EnsureCreated();
        }
        await using var app = FunctionsHost.Build(settings, services =>
        {
            if (inMemory)
            {
                services.AddMemoryStorage();
            }
            else
            {
                services.AddAzureStorage(storage);
            }
        });
        await app.StartAsync();
        var organization = Guid.NewGuid();
        var (key, secret) = Secrets.NewApiKey(organization, null, ApiRole.Administrator, "benchmark", DateTimeOffset.UtcNow);
        await app.Services.GetRequiredService<IApiKeys>().Create(key);
        Console.WriteLine(JsonSerializer.Serialize(new Described(app.Urls.Single(), secret, organization)));
        // Until whoever started it ends, or ends it.
        while (await Console.In.ReadLineAsync() is not null)
        {
            Console.WriteLine($"{CallsAsked} {Interlocked.Read(ref calls)}");
        }
        return 0;
    }

    private sealed class CallsTold
    {
        public TaskCompletionSource<long> Next { get; set; } = new();
    }

    private sealed record Described(string Url, string Secret, Guid Organization);
}
