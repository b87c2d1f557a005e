using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using IotHub.Local.Processes;

namespace IotHub.Local.Launch;

/// <summary>Node.js and the npm packages that the local hub needs.</summary>
public static class NodePackages
{
    private const int LeastNode = 20;
    private const string Stamp = ".installed-lock";
    private static readonly string Advice =
        string.Create(CultureInfo.InvariantCulture, $"install Node.js {LeastNode} or newer (nodejs.org) and start again.");

    private static readonly TimeSpan LookPause = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan InstallPatience = TimeSpan.FromMinutes(6);

    /// <summary>Path of <c>node</c>.</summary>
    /// <exception cref="LaunchException">It is not there or too old.</exception>
    public static async Task<string> FindNode(CancellationToken cancel)
    {
        var node = Executables.Find("node")
            ?? throw new LaunchException($"Node.js is not installed: {Advice}");
        var (_, output) = await Run(node, ["--version"], Path.GetTempPath(), null, cancel);
        var version = output.Trim().TrimStart('v');
        return int.TryParse(version.Split('.')[0], NumberStyles.None, CultureInfo.InvariantCulture, out var major) && major >= LeastNode
            ? node
            : throw new LaunchException($"Node.js {version} at {node} is too old: {Advice}");
    }

    /// <summary>
    /// Installs a folder's packages exactly as its lock file says, once per content of that file. Of several that come at the same time
    /// one installs and the others wait; the tests use the same lock and the same stamp.
    /// </summary>
    public static async Task Install(string folder, string logFile, Action<string> progress, OrphanGuard guard, CancellationToken cancel)
    {
        var lockFile = await File.ReadAllBytesAsync(Path.Combine(folder, "package-lock.json"), cancel);
        var wanted = Convert.ToHexStringLower(SHA256.HashData(lockFile));
        var stamp = Path.Combine(folder, "node_modules", Stamp);
        if (IsInstalled())
        {
            return;
        }
        progress("installing Azurite from npm (once)");
        await using var held = await Hold(Path.Combine(folder, ".install.lock"), cancel);
        if (IsInstalled())
        {
            return;
        }
        var npm = Executables.Find("npm")
            ?? throw new LaunchException("npm is not installed: it comes with Node.js (nodejs.org); install it and start again.");
        string[] arguments = ["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
        var (code, output) = await Run(npm, arguments, folder, guard, cancel);
        if (code != 0)
        {
            await File.WriteAllTextAsync(logFile, output, cancel);
            throw new LaunchException(
                $"npm ci failed in {folder}: see whether the npm registry can be reached and start again; its output is in {logFile}.")
            {
                LogTail = [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries).TakeLast(10)],
            };
        }
        await File.WriteAllTextAsync(stamp, wanted, cancel);

        bool IsInstalled() => File.Exists(stamp) && File.ReadAllText(stamp) == wanted;
    }

    private static async Task<FileStream> Hold(string path, CancellationToken cancel)
    {
        var since = Stopwatch.StartNew();
        while (true)
        {
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (UnauthorizedAccessException e)
            {
                throw new LaunchException(
                    $"{path} cannot be written ({e.Message.TrimEnd('.')}): make the checkout writable and start again.", e);
            }
            catch (IOException) when (since.Elapsed < InstallPatience)
            {
                await Task.Delay(LookPause, cancel);
            }
            catch (IOException e)
            {
                throw new LaunchException($"Another installation holds {path}: end it and start again.", e);
            }
        }
    }

    private static async Task<(int ExitCode, string Output)> Run(
        string program, string[] arguments, string folder, OrphanGuard? guard, CancellationToken cancel)
    {
        var start = OwnSession.Wrap(program, arguments);
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        start.WorkingDirectory = folder;
        Process process;
        try
        {
            process = Process.Start(start)!;
        }
        catch (Win32Exception e)
        {
            throw new LaunchException($"{program} cannot be started ({e.Message}): {Advice}", e);
        }
        using (process)
        {
            guard?.Watch(process.Id);
            try
            {
                var error = process.StandardError.ReadToEndAsync(cancel);
                var output = await process.StandardOutput.ReadToEndAsync(cancel) + await error;
                await process.WaitForExitAsync(cancel);
                return (process.ExitCode, output);
            }
            finally
            {
                if (!process.HasExited)
                {
                    process.Kill(entireProcessTree: true);
                }
                guard?.Forget(process.Id);
            }
        }
    }
}
