using System.Text.Json.Serialization;
using IotHub.Core.Domain;
using IotHub.Core.Security;
using IotHub.Core.Storage;
using IotHub.Functions.Api;

namespace IotHub.Functions.Keys;

/// <summary>The commands that make, list and revoke API keys. Answers are JSON, one object a line, on standard output.</summary>
internal sealed class KeyCommands(IApiKeys keys, TimeProvider time, TextWriter output, TextWriter errors)
{
    private const string Usage = """
        usage:
          IotHub.Functions keys create --organization UUID [--project UUID|-] [--role reader|operator|administrator] [--description TEXT]
          IotHub.Functions keys list [--organization UUID]
          IotHub.Functions keys revoke ACCESS_KEY

        A key without a project (or with -) may touch all projects of its organization. The secret key is shown once.
        """;

    public async Task<int> Run(string[] command)
    {
        try
        {
            return command switch
            {
                ["create", .. var options] => await Create(new Options(options, "--organization", "--project", "--role", "--description")),
                ["list", .. var options] => await List(new Options(options, "--organization")),
                ["revoke", var accessKey] => await Revoke(accessKey),
                _ => throw new FormatException("which command is not clear"),
            };
        }
        catch (FormatException e)
        {
            await errors.WriteLineAsync($"{e.Message}\n\n{Usage}");
            return ExitCodes.Usage;
        }
    }

    private async Task<int> Create(Options options)
    {
        var (key, secret) = Secrets.NewApiKey(
            options.Id("--organization") ?? throw new FormatException("--organization is required"),
            options.Id("--project"),
            options.Role("--role"),
            options.Text("--description") ?? "",
            time.GetUtcNow());
        await keys.Create(key);
        await Print(new CreatedKey(key.AccessKey, secret, key.OrganizationId, key.ProjectId));
        return ExitCodes.CommandDone;
    }

    private async Task<int> List(Options options)
    {
        var found = options.Id("--organization") is { } organization ? keys.OfOrganization(organization) : keys.All();
        await foreach (var key in found)
        {
            await Print(KeyAnswer.Of(key));
        }
        return ExitCodes.CommandDone;
    }

    private async Task<int> Revoke(string accessKey)
    {
        if (await keys.Delete(accessKey))
        {
            return ExitCodes.CommandDone;
        }
        await errors.WriteLineAsync($"There is no key {accessKey}.");
        return ExitCodes.Fatal;
    }

    private Task Print<T>(T line) => output.WriteLineAsync(System.Text.Encoding.UTF8.GetString(ApiJson.Write(line)));

    private sealed record CreatedKey(
        string AccessKey,
        string SecretKey,
        Guid OrganizationId,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] Guid? ProjectId);

    /// <summary><c>--name value</c> pairs.</summary>
    private sealed class Options
    {
        private readonly Dictionary<string, string> _values = new(StringComparer.Ordinal);

        public Options(string[] arguments, params string[] known)
        {
            for (var i = 0; i < arguments.Length; i += 2)
            {
                if (!known.Contains(arguments[i]))
                {
                    throw new FormatException($"{arguments[i]} is not known here");
                }
                if (i + 1 == arguments.Length || !_values.TryAdd(arguments[i], arguments[i + 1]))
                {
                    throw new FormatException($"{arguments[i]} needs exactly one value");
                }
            }
        }

        public string? Text(string name) => _values.GetValueOrDefault(name);

        public Guid? Id(string name) => Text(name) switch
        {
            null or "-" => null,
            var text when Guid.TryParseExact(text, "D", out var id) => id,
            _ => throw new FormatException($"{name} must be a UUID"),
        };

        public ApiRole Role(string name) => Text(name) switch
        {
            null => ApiRole.Reader,
            var text when ApiJson.TryParse<ApiRole>(text, out var role) => role,
            _ => throw new FormatException($"{name} must be reader, operator or administrator"),
        };
    }
}
