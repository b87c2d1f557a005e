using System.Security.Cryptography;

namespace IotHub.Harness;

/// <summary>Installs the npm packages of a folder exactly as its lock file says, once per content of that file and machine.</summary>
public static class NodeModules
{
    private const string Stamp = ".installed-lock";
    private static readonly TimeSpan LockDeadline = TimeSpan.FromMinutes(6);
    private static readonly TimeSpan InstallDeadline = TimeSpan.FromMinutes(5);

    /// <summary>Safe to call from many processes at the same time: one installs, the others wait for it.</summary>
    public static async Task Install(string folder)
    {
        var wanted = Convert.ToHexStringLower(SHA256.HashData(await File.ReadAllBytesAsync(Path.Combine(folder, "package-lock.json"))));
        var stamp = Path.Combine(folder, "node_modules", Stamp);
        if (IsInstalled())
        {
            return;
        }
        await using var held = await Hold(Path.Combine(folder, ".install.lock"));
        if (IsInstalled())
        {
            return;
        }
        if (!await Run(folder, "ci") && !await Run(folder, "ci"))
        {
            throw new InvalidOperationException($"npm ci failed twice in {folder}; is the npm registry reachable?");
        }
        await File.WriteAllTextAsync(stamp, wanted);

        bool IsInstalled() => File.Exists(stamp) && File.ReadAllText(stamp) == wanted;
    }

    private static async Task<bool> Run(string folder, string verb)
    {
        ChildProcess npm;
        try
        {
            npm = ChildProcess.Start("npm", [verb, "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"], folder);
        }
        catch (InvalidOperationException e)
        {
            throw new InvalidOperationException("npm is not on the PATH: install Node.js 20 or newer", e);
        }
        await using (npm)
        {
            return await npm.WaitForExit(InstallDeadline) == 0;
        }
    }

    private static async Task<FileStream> Hold(string path)
    {
        FileStream? held = null;
        await Eventually.True(
            () =>
            {
                held = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
                return true;
            },
            LockDeadline,
            text: $"the lock {path}");
        return held!;
    }
}
