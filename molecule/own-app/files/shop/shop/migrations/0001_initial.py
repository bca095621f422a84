from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel(
            "Done",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("job", models.CharField(max_length=64)),
                ("release", models.CharField(max_length=32)),
            ],
        ),
        migrations.CreateModel(
            "Migrated",
            [("id", models.BigAutoField(primary_key=True)), ("release", models.CharField(max_length=32))],
        ),
        migrations.CreateModel(
            "Tick",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("instance", models.CharField(max_length=64)),
                ("at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
    ]
