# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

from setuptools import find_packages, setup

package_name = 'va_loader'
# colcon runs this from the package's folder; the launch files are at the repository's root.
launch_files = sorted(str(path) for path in Path('../../launch').glob('*.launch.py'))

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(exclude=['test']),
    package_data={package_name: ['py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{package_name}']),
        (f'share/{package_name}', ['package.xml']),
        (f'share/{package_name}/launch', launch_files),
    ],
    install_requires=['setuptools'],
    extras_require={'test': ['pytest']},
    zip_safe=False,
    maintainer='Voice Assistant maintainers',
    maintainer_email='maintainers@voice-assistant.example',
    description='Starts, supervises and stops the voice assistant, and leads its dialogs',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'main = va_loader.main:main',
            'loader = va_loader.loader:main',
            'cli = va_loader.cli:main',
            'doctor = va_loader.doctor:main',
        ],
    },
)
