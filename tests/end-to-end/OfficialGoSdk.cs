using IotHub.EndToEnd.Support;
using IotHub.Harness;
using Xunit;

namespace IotHub.EndToEnd;

/// <summary>
/// The management API seen by Scaleway's own Go SDK, on which its command line and its Terraform provider stand; what is expected
/// stands in the program of the folder go-sdk.
/// </summary>
[Collection(HubCollection.Name)]
public sealed class OfficialGoSdk(HubFixture fixture)
{
    private static readonly TimeSpan BuildDeadline = TimeSpan.FromMinutes(3);
    private static readonly TimeSpan StoryDeadline = TimeSpan.FromMinutes(2);

    [GoSdkFact]
    public Task Every_method_is_called_in_the_whole_life_of_every_resource() => Passes("life");

    [GoSdkFact]
    public Task Errors_come_out_as_the_types_made_for_them() => Passes("errors");

    [GoSdkFact]
    public Task The_calls_of_the_Terraform_provider_are_answered_as_it_needs_them() => Passes("terraform");

    [GoSdkFact]
    public Task The_calls_of_the_command_line_are_answered_as_it_needs_them() => Passes("cli");

    private async Task Passes(string story)
    {
        var endpoints = fixture.Endpoints;
        var environment = new Dictionary<string, string?>
        {
            ["SCW_API_URL"] = endpoints.ApiUrl,
            ["SCW_ACCESS_KEY"] = endpoints.AccessKey,
            ["SCW_SECRET_KEY"] = endpoints.SecretKey,
            ["SCW_DEFAULT_PROJECT_ID"] = endpoints.ProjectId.ToString(),
            ["SCW_DEFAULT_ORGANIZATION_ID"] = endpoints.OrganizationId.ToString(),
            ["SCW_DEFAULT_REGION"] = endpoints.Region,
        };
        await using var told = ChildProcess.Start(await Build(), [story], environment: environment);
        Assert.True(await told.WaitForExit(StoryDeadline) == 0, told.Output);
        Assert.Contains("done: ", told.StandardOutput, StringComparison.Ordinal);
    }

    /// <summary>Builds the program without a network, out of what Debian installed; a build of what was built before takes no time.</summary>
    private static async Task<string> Build()
    {
        var folder = Path.Combine(AppContext.BaseDirectory, "go-sdk");
        var program = Path.Combine(folder, "stories");
        var environment = new Dictionary<string, string?>
        {
            ["GO111MODULE"] = "off",
            ["GOPATH"] = Installed.GoPath,
            ["GOPROXY"] = "off",
            ["GOFLAGS"] = "",
            ["GOCACHE"] = Path.Combine(folder, "cache"),
            ["CGO_ENABLED"] = "0",
        };
        await using var build = ChildProcess.Start(
            "go", ["build", "-o", program, "."], RepositoryRoot.Combine("tests", "end-to-end", "go-sdk"), environment);
        Assert.True(await build.WaitForExit(BuildDeadline) == 0, build.Output);
        return program;
    }
}
