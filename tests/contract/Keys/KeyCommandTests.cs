using System.Text.Json.Nodes;
using IotHub.Contract.Storage;
using IotHub.Core.Domain;
using IotHub.Core.Security;
using IotHub.Core.Storage.Memory;
using IotHub.Functions;
using IotHub.Functions.Keys;
using Xunit;

namespace IotHub.Contract.Keys;

public sealed class KeyCommandTests : IDisposable
{
    private readonly MemoryApiKeys _keys = new();
    private readonly StringWriter _output = new();
    private readonly StringWriter _errors = new();

    public void Dispose()
    {
        _output.Dispose();
        _errors.Dispose();
    }

    [Fact]
    public async Task A_created_key_is_printed_once_in_the_form_that_clients_check()
    {
        var (organization, project) = (Guid.NewGuid(), Guid.NewGuid());
        Assert.Equal(ExitCodes.CommandDone, await Run(
            "create", "--organization", $"{organization}", "--project", $"{project}", "--role", "administrator", "--description", "a key"));
        var printed = JsonNode.Parse(_output.ToString())!.AsObject();
        Assert.Equal(["access_key", "organization_id", "project_id", "secret_key"], printed.Select(member => member.Key).Order());
        Assert.Matches("^SCW[A-Z0-9]{17}$", (string)printed["access_key"]!);
        var stored = (await _keys.FindBySecretHash(Secrets.Hash((string)printed["secret_key"]!)))!;
        Assert.Equal(
            ((string)printed["access_key"]!, organization, project, ApiRole.Administrator, "a key"),
            (stored.AccessKey, stored.OrganizationId, stored.ProjectId, stored.Role, stored.Description));
    }

    [Fact]
    public async Task A_key_without_a_project_says_so_and_may_only_read_unless_told_otherwise()
    {
        Assert.Equal(ExitCodes.CommandDone, await Run("create", "--organization", $"{Guid.NewGuid()}", "--project", "-"));
        Assert.Null(JsonNode.Parse(_output.ToString())!["project_id"]);
        Assert.Contains("\"project_id\":null", _output.ToString(), StringComparison.Ordinal);
        var stored = Assert.Single(await _keys.All().ToList());
        Assert.Equal((ApiRole.Reader, null), (stored.Role, stored.ProjectId));
    }

    [Fact]
    public async Task Listed_keys_do_not_show_secrets_and_revoked_ones_are_gone()
    {
        var mine = Samples.ApiKey(Guid.NewGuid(), "SCW00000000000000001");
        var other = Samples.ApiKey(Guid.NewGuid(), "SCW00000000000000002");
        await _keys.Create(mine);
        await _keys.Create(other);
        await Run("list");
        Assert.Equal(2, _output.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        Assert.DoesNotContain(mine.SecretHash, _output.ToString(), StringComparison.Ordinal);
        _output.GetStringBuilder().Clear();
        await Run("list", "--organization", $"{mine.OrganizationId}");
        Assert.Equal(mine.AccessKey, (string)JsonNode.Parse(_output.ToString())!["access_key"]!);
        Assert.Equal(ExitCodes.CommandDone, await Run("revoke", mine.AccessKey));
        Assert.Equal(ExitCodes.Fatal, await Run("revoke", mine.AccessKey));
        Assert.Null(await _keys.FindBySecretHash(mine.SecretHash));
    }

    [Theory]
    [InlineData("")]
    [InlineData("make")]
    [InlineData("revoke")]
    [InlineData("create")]
    [InlineData("create --organization x")]
    [InlineData("create --organization")]
    [InlineData("create --organization 9de70985-79a9-42cf-b696-d3f7022d735f --role king")]
    [InlineData("create --organization 9de70985-79a9-42cf-b696-d3f7022d735f --colour red")]
    public async Task A_command_that_is_not_understood_makes_nothing_and_shows_how(string command)
    {
        Assert.Equal(ExitCodes.Usage, await Run(command.Split(' ', StringSplitOptions.RemoveEmptyEntries)));
        Assert.Contains("usage:", _errors.ToString(), StringComparison.Ordinal);
        Assert.Empty(_output.ToString());
        Assert.Empty(await _keys.All().ToList());
    }

    private Task<int> Run(params string[] command) => new KeyCommands(_keys, TimeProvider.System, _output, _errors).Run(command);
}
