namespace IotHub.Harness;

/// <summary>A folder of one test, gone with it or, at the latest, with the test process.</summary>
public sealed class TempFolder : IDisposable
{
    public TempFolder(string purpose)
    {
        Path = Directory.CreateTempSubdirectory($"iot-hub-test-{purpose}-").FullName;
        Watchdog.Folder(Path);
    }

    public string Path { get; }

    public string Combine(params string[] parts) => System.IO.Path.Combine([Path, .. parts]);

    public void Dispose()
    {
        try
        {
            Directory.Delete(Path, recursive: true);
        }
        catch (IOException)
        {
            // A process that is still ending writes into it; the watchdog deletes it later.
        }
    }
}
