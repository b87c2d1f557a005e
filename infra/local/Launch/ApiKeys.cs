using System.Diagnostics;
using System.Text.Json;
using IotHub.Local.Processes;

namespace IotHub.Local.Launch;

/// <summary>Makes the local hub's API key through the function app's own command.</summary>
public static class ApiKeys
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    public static async Task<Credentials> Create(
        Checkout checkout, Credentials credentials, IReadOnlyDictionary<string, string> settings, CancellationToken cancel)
    {
        string[] arguments =
        [
            "keys", "create", "--organization", credentials.OrganizationId.ToString(), "--project", credentials.ProjectId.ToString(),
            "--role", "administrator", "--description", "made by the local launcher",
        ];
        var start = OwnSession.Wrap(checkout.FunctionsProgram, arguments);
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        start.WorkingDirectory = checkout.FunctionsFolder;
        foreach (var (name, value) in settings)
        {
            start.Environment[name] = value;
        }
        using var process = Process.Start(start) ?? throw new LaunchException($"{checkout.FunctionsProgram} cannot be started.");
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        patience.CancelAfter(Patience);
        try
        {
            var error = process.StandardError.ReadToEndAsync(patience.Token);
            var output = await process.StandardOutput.ReadToEndAsync(patience.Token);
            await process.WaitForExitAsync(patience.Token);
            return process.ExitCode == 0 && Read(output) is var (access, secret)
                ? credentials with { AccessKey = access, SecretKey = secret }
                : throw new LaunchException("The API key could not be created; the function app's own words follow.")
                {
                    LogTail = (await error).Split('\n', StringSplitOptions.RemoveEmptyEntries),
                };
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            throw new LaunchException($"The API key was not created within {Patience.TotalSeconds:0} s; start again.");
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill();
            }
        }
    }

    private static (string AccessKey, string SecretKey)? Read(string output)
    {
        try
        {
            using var json = JsonDocument.Parse(output);
            return (json.RootElement.GetProperty("access_key").GetString()!, json.RootElement.GetProperty("secret_key").GetString()!);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            return null;
        }
    }
}
