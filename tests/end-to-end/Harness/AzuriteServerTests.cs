using Azure.Data.Tables;
using IotHub.Harness;
using Xunit;

namespace IotHub.EndToEnd.Harness;

public sealed class AzuriteServerTests
{
    [Fact]
    public async Task Accounts_of_one_server_do_not_see_each_other()
    {
        var azurite = await AzuriteServer.Shared();
        var mine = new TableServiceClient(azurite.NewAccount());
        var theirs = new TableServiceClient(azurite.NewAccount());

        await mine.CreateTableAsync("registry");
        await mine.GetTableClient("registry").AddEntityAsync(new TableEntity("p", "r") { ["Name"] = "x" });

        Assert.Empty(theirs.Query());
        Assert.Equal("registry", Assert.Single(mine.Query()).Name);
        Assert.Same(azurite, await AzuriteServer.Shared());
    }

    [Fact]
    public async Task A_server_of_ones_own_is_gone_after_dispose()
    {
        int pid;
        await using (var azurite = await AzuriteServer.Start())
        {
            pid = azurite.Pid;
            Assert.True(ChildProcess.IsAlive(pid));
        }
        Assert.False(ChildProcess.IsAlive(pid));
    }
}
