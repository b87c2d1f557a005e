using Azure.Core;
using Azure.Data.Tables;
using IotHub.Contract.Storage;
using IotHub.Core.Storage;
using IotHub.Core.Storage.Tables;
using IotHub.Harness;
using Xunit;

namespace IotHub.Contract.Api;

/// <summary>A create under an Idempotency-Key is cut off at its first, second, third ... request to storage; its repeat finishes it.</summary>
public sealed class RepeatedCreateInterruptionTests : IAsyncLifetime
{
    private readonly FaultyPipeline _faults = new();
    private TestApi _api = null!;

    public async Task InitializeAsync()
    {
        var account = (await AzuriteServer.Shared()).NewAccount();
        await StorageAccount.At(account).EnsureCreated();
        var options = new TableClientOptions();
        options.Retry.MaxRetries = 0;
        options.AddPolicy(_faults, HttpPipelinePosition.PerRetry);
        var tables = new TableServiceClient(account, options);
        _api = await TestApi.Over(
            time =>
            {
                var changes = new TableChangeFeed(tables, time);
                return new Stores(new TableRegistry(tables, changes, time), new TableApiKeys(tables), changes)
                {
                    Creations = new TableCreations(tables),
                };
            },
            withKey: true);
    }

    public async Task DisposeAsync() => await _api.DisposeAsync();

    [Theory]
    [InlineData(Loss.Request)]
    [InlineData(Loss.Answer)]
    public async Task A_create_that_was_cut_off_is_finished_by_its_repeat_and_made_once(Loss loss)
    {
        var hub = await _api.NewHub();
        var number = 0;
        await _faults.AtEveryRequest(loss, async () =>
        {
            await Task.CompletedTask;
            var (key, body) = ($"key-{++number}", $$"""{"name":"n{{number}}","hub_id":"{{hub["id"]}}","type":"rest"}""");
            return new Attempt(() => Create(key, body), async () =>
            {
                var finished = await Create(key, body);
                var network = finished.Ok["network"]!;
                Assert.Equal((string)network["name"]!, (string)(await _api.Get($"networks/{network["id"]}")).Ok["name"]!);
                Assert.Equal(finished.Text, (await Create(key, body)).Text);
                Assert.Equal(number, (int)(await _api.Get($"networks?hub_id={hub["id"]}")).Ok["total_count"]!);
            });
        });
    }

    private async Task<ApiAnswer> Create(string key, string body)
    {
        _api.IdempotencyKey = key;
        var answer = await _api.Post("networks", body);
        _api.IdempotencyKey = null;
        return answer;
    }
}
